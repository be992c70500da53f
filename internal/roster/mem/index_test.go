package mem

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIndex: an index finds what a map would, also for equal hashes and for those
// that wrap around the end of the table, and releases memory.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x Index
		hashes := map[uint32]uint32{} // by number
		hash := rapid.SampledFrom([]uint32{0, 1, 7, 8, 15, 1 << 31, 0xFFFFFFFF, 0xFFFFFFFE})
		next := uint32(1)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			known := numbersOf(hashes)
			switch step := rapid.IntRange(0, 4).Draw(t, "step"); {
			case step < 2 || len(known) == 0:
				hashes[next] = hash.Draw(t, "hash")
				x.Add(hashes[next], next)
				next++
			case step < 4:
				n := rapid.SampledFrom(known).Draw(t, "number")
				x.Remove(hashes[n], n)
				delete(hashes, n)
			default:
				n := rapid.SampledFrom(known).Draw(t, "number")
				x.renumber(hashes[n], n, next)
				hashes[next] = hashes[n]
				delete(hashes, n)
				next++
			}
			checkIndex(t, &x, hashes)
		}
		for n, h := range hashes {
			x.Remove(h, n)
		}
		if x.Used != 0 || x.size > minSlots {
			t.Fatalf("%d used, %d slots when all are removed", x.Used, x.size)
		}
	})
}

func numbersOf(hashes map[uint32]uint32) []uint32 {
	var numbers []uint32
	for n := range hashes {
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return numbers
}

func checkIndex(t *rapid.T, x *Index, hashes map[uint32]uint32) {
	t.Helper()
	found := map[uint32]uint32{}
	for _, h := range hashes {
		for n, at := x.First(h); n != 0; n, at = x.Next(h, at) {
			found[n] = h
		}
	}
	for n, h := range hashes {
		if got, ok := found[n]; !ok || got != h {
			t.Fatalf("number %d of hash %d is not found", n, h)
		}
	}
	if len(found) != len(hashes) || int(x.Used) != len(hashes) {
		t.Fatalf("%d found, %d used, want %d", len(found), x.Used, len(hashes))
	}
}
