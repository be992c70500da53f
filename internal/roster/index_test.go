package roster

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestIndex: an index finds what a map would, also of equal hashes and of such
// that go around the end of the table, and gives memory back.
func TestIndex(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var x index
		hashes := map[uint32]uint32{} // by number
		hash := rapid.SampledFrom([]uint32{0, 1, 7, 8, 15, 1 << 31, 0xFFFFFFFF, 0xFFFFFFFE})
		next := uint32(1)
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			known := numbersOf(hashes)
			switch step := rapid.IntRange(0, 4).Draw(t, "step"); {
			case step < 2 || len(known) == 0:
				hashes[next] = hash.Draw(t, "hash")
				x.add(hashes[next], next)
				next++
			case step < 4:
				n := rapid.SampledFrom(known).Draw(t, "number")
				x.remove(hashes[n], n)
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
			x.remove(h, n)
		}
		if x.used != 0 || x.size > fewestSlots {
			t.Fatalf("%d used, %d slots when all are removed", x.used, x.size)
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

func checkIndex(t *rapid.T, x *index, hashes map[uint32]uint32) {
	t.Helper()
	found := map[uint32]uint32{}
	for _, h := range hashes {
		for n, at := x.first(h); n != 0; n, at = x.next(h, at) {
			found[n] = h
		}
	}
	for n, h := range hashes {
		if got, ok := found[n]; !ok || got != h {
			t.Fatalf("number %d of hash %d is not found", n, h)
		}
	}
	if len(found) != len(hashes) || int(x.used) != len(hashes) {
		t.Fatalf("%d found, %d used, want %d", len(found), x.used, len(hashes))
	}
}

// TestAbout: what is about a session comes back as it was.
func TestAbout(t *testing.T) {
	text := rapid.SampledFrom([]string{"", "1", "pts/0", string(make([]byte, 127)), string(make([]byte, 128)), string(make([]byte, 255))})
	rapid.Check(t, func(t *rapid.T) {
		want := Session{
			ID: text.Draw(t, "id"), Since: Time(rapid.SampledFrom([]int64{0, 1, second, int64(MaxDate)}).Draw(t, "since")),
			Terminal: text.Draw(t, "terminal"), Remote: text.Draw(t, "remote"), Service: text.Draw(t, "service"),
		}
		a := newAbout(appendAbout(nil, &want))
		var got Session
		a.fill(&got)
		if got != want || a.isImplicit() != (want.ID == "") {
			t.Fatalf("%+v, want %+v", got, want)
		}
		if (a.bytes == nil) != (want == Session{}) {
			t.Fatalf("%+v takes memory: %v", want, a.bytes != nil)
		}
	})
}
