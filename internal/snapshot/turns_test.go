package snapshot

import (
	"bytes"
	"slices"
	"sync"
	"testing"

	"rollcall/internal/roster"
)

// TestSavesTakeTurns: concurrent saves all succeed; none removes the unfinished file
// of another.
func TestSavesTakeTurns(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	for range 20 {
		advance(r)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				if _, err := s.Save(t.Context(), r); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	}
	if got, _ := load(t, s); digest(got) != digest(r) {
		t.Error("another roster is loaded")
	}
}

// TestDamageOfTheHeader: a header may be read alone, for its position, so its own
// checksum must detect damage.
func TestDamageOfTheHeader(t *testing.T) {
	data := file(t, golden())
	at := bytes.Index(data, []byte(`"place"`))
	for i := range 200 {
		damaged := slices.Clone(data)
		damaged[at+i] ^= 1
		if h, err := ReadHeader(bytes.NewReader(damaged)); err == nil {
			t.Fatalf("with byte %d damaged: position %+v", at+i, h.Status.Position)
		}
	}
	if _, err := ReadHeader(bytes.NewReader(data)); err != nil {
		t.Errorf("as it was: %v", err)
	}
}
