package history

import (
	"path/filepath"
	"testing"

	"rollcall/internal/test/kit"
)

// YearOfStays returns a folder with a history of n stays of a year, which belong to the
// first users of a kit.Fleet of so many pairs, of which each has logged in since.
func YearOfStays(b *testing.B, n int) (dir string, pairs, users int) {
	b.Helper()
	p := newPast(b, n, false)
	return filepath.Dir(p.path), p.fleet.Pairs(), p.machines / 2
}

// OfStream returns a folder with a history of the first events of a fleet.
func OfStream(b *testing.B, f *kit.Fleet, events int) (dir string) {
	b.Helper()
	p := &past{path: filepath.Join(b.TempDir(), FileName), fleet: f}
	w := openForBench(b, p.path)
	for p.place < uint64(events) {
		must(b, w.write([]*batch{p.next(min(defaultLimits.catchUpAt, events-int(p.place)))}))
	}
	must(b, w.c.Close())
	return filepath.Dir(p.path)
}

// NewYear is when that year ends.
var NewYear = newYear
