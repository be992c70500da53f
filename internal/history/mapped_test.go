package history

import (
	"errors"
	"os"
	"testing"
)

// TestFault: if the file cannot be read, here because it is cut short, one question fails.
// The next ones are answered as soon as it can be read again, and nothing holds up the
// write-ahead log.
func TestFault(t *testing.T) {
	dir := t.TempDir()
	h, r := openedIn(dir)
	foldSome(t, h, r)
	h.Close()
	h, _ = openedIn(dir)
	defer h.Close()
	count := func(before func()) (n int, err error) {
		err = h.View(t.Context(), func(v *View) error {
			before()
			stays, _, err := v.Stays(&Span{To: endOfTime, Limit: 1000})
			n = len(stays)
			return err
		})
		return n, err
	}
	want, err := count(func() {})
	if err != nil || want == 0 {
		t.Fatal(want, err)
	}
	whole, err := os.ReadFile(h.path)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 * readers {
		n, err := count(func() {
			if err := os.Truncate(h.path, 0); err != nil {
				t.Error(err)
			}
		})
		if !errors.Is(err, errFault) {
			t.Errorf("%d stays of a file that is empty, %v", n, err)
		}
		if err := os.WriteFile(h.path, whole, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 * readers {
		if n, err := count(func() {}); err != nil || n != want {
			t.Errorf("%d stays, want %d, %v", n, want, err)
		}
	}
	if busy, err := number(h.w.c, "pragma wal_checkpoint(truncate)"); err != nil || busy != 0 {
		t.Errorf("a connection that is gone holds up the write-ahead log: %v", err)
	}
}
