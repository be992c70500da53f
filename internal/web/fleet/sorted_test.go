package fleet

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/internal/test/kit"
)

// entry is a value with a key, and a mark that tells it from an earlier value.
type entry struct {
	key  string
	mark int
}

func newSorted() *sorted[entry] { return &sorted[entry]{key: func(e entry) string { return e.key }} }

// collect returns what a loop over all values passes.
func collect[T any](each func(func(T) bool)) (all []T) {
	each(func(v T) bool {
		all = append(all, v)
		return true
	})
	return all
}

// TestSorted: after any additions, replacements and removals the list is that of a plain
// sorted slice, from any index.
func TestSorted(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := newSorted()
		var model []entry
		// So many keys that there are several chunks, or so few that they are removed again.
		most := rapid.SampledFrom([]int{3, 40, 1500}).Draw(t, "keys")
		mark := 0
		put := func(key string) {
			mark++
			s.put(entry{key, mark})
			i, found := slices.BinarySearchFunc(model, key, func(e entry, key string) int { return strings.Compare(e.key, key) })
			if found {
				model[i].mark = mark
			} else {
				model = slices.Insert(model, i, entry{key, mark})
			}
		}
		remove := func(key string) {
			s.remove(key)
			model = slices.DeleteFunc(model, func(e entry) bool { return e.key == key })
		}
		key := func() string {
			return fmt.Sprintf("k%04d", rapid.IntRange(0, most-1).Draw(t, "key"))
		}
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 4).Draw(t, "what") {
			case 0: // in order, as a report comes
				for i := range most {
					put(fmt.Sprintf("k%04d", i))
				}
			case 1: // a range, from behind
				for i := most - 1; i >= most/2; i-- {
					put(fmt.Sprintf("k%04d", i))
				}
			case 2:
				first := rapid.IntRange(0, most-1).Draw(t, "first")
				for i := first; i < min(most, first+700); i++ {
					remove(fmt.Sprintf("k%04d", i))
				}
			case 3:
				put(key())
			case 4:
				remove(key())
			}
			if s.len != len(model) {
				t.Fatalf("%d values, want %d", s.len, len(model))
			}
			if got := collect(s.all); !slices.Equal(got, model) {
				t.Fatalf("got %v, want %v", got, model)
			}
			from, n := rapid.IntRange(0, most+5).Draw(t, "from"), rapid.IntRange(0, most+5).Draw(t, "n")
			want := model[min(from, len(model)):min(from+n, len(model))]
			if got := s.slice(from, n); !slices.Equal(got, want) {
				t.Fatalf("from %d, %d: got %v, want %v", from, n, got, want)
			}
			for _, c := range s.chunks {
				if len(c) == 0 || len(c) > maxChunk {
					t.Fatalf("a chunk of %d", len(c))
				}
			}
		}
	})
}

// TestSortedStops: a loop over the values ends when it is told to.
func TestSortedStops(t *testing.T) {
	s := newSorted()
	for i := range 2000 {
		s.put(entry{key: fmt.Sprintf("k%04d", i)})
	}
	n := 0
	s.all(func(entry) bool {
		n++
		return n < 600
	})
	if n != 600 {
		t.Errorf("%d values, want 600", n)
	}
}

// TestSortedInOrder: values that come in order fill their chunks, so that finding one by
// its index is quick in a list of any size.
func TestSortedInOrder(t *testing.T) {
	n := kit.Length(20_000, 200_000)
	s := newSorted()
	for i := range n {
		s.put(entry{key: fmt.Sprintf("k%07d", i), mark: i})
	}
	if most := n/maxChunk + 2; len(s.chunks) > most {
		t.Errorf("%d chunks of %d values, want at most %d", len(s.chunks), n, most)
	}
	for _, from := range []int{0, 1, maxChunk - 1, maxChunk, maxChunk + 1, n / 2, n - 1, n, n + 1} {
		got := s.slice(from, 3)
		if want := max(0, min(3, n-from)); len(got) != want || want > 0 && got[0].mark != from {
			t.Errorf("from %d: %v", from, got)
		}
	}
}
