package history

import (
	"path/filepath"
	"testing"
)

// YearOfStays returns a folder with a history of n stays of a year, which belong to the
// first users of a kit.Fleet of so many pairs, of which each has logged in since.
func YearOfStays(b *testing.B, n int) (dir string, pairs, users int) {
	b.Helper()
	p := newPast(b, n, false)
	return filepath.Dir(p.path), p.fleet.Pairs(), p.machines / 2
}

// NewYear is when that year ends.
var NewYear = newYear
