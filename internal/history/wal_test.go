package history

import (
	"os"
	"testing"

	"rollcall/internal/roster"
)

// TestWAL: the write-ahead log is emptied once it is large, if not while somebody reads
// what it had before, then after that. Meanwhile the history is written, and the reader
// sees what it saw.
func TestWAL(t *testing.T) {
	w := filled(t, map[string]int{"web1": 3})
	w.mostWAL = 1 << 20
	place, n := w.state.Position.Place, 3
	write := func() (wal int64) {
		t.Helper()
		b := &batch{settings: roster.DefaultSettings()}
		for range 500 {
			n++
			for _, e := range hour("web1", "lane", n) {
				place++
				b.events = append(b.events, Accepted{place, e})
			}
		}
		b.end.Place = place
		if err := w.write([]*batch{b}); err != nil {
			t.Fatal(err)
		}
		f, err := os.Stat(w.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return f.Size()
	}
	emptied := 0
	for range 30 {
		if size := write(); size > w.mostWAL {
			t.Fatalf("%d bytes, at most %d", size, w.mostWAL)
		} else if size == 0 {
			emptied++
		}
	}
	if emptied == 0 {
		t.Fatal("it was never large")
	}
	look(t, w, func(v *View) error {
		for write() <= w.mostWAL {
		}
		if ended, err := number(v.c, "select count(*) from ended"); err != nil || ended >= w.state.Stays {
			t.Errorf("the reader sees %d stays, %v; %d are written", ended, err, w.state.Stays)
		}
		return nil
	})
	if size := write(); size != 0 {
		t.Errorf("%d bytes are left after the reader has ended", size)
	}
}
