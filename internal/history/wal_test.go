package history

import (
	"context"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
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
	for range 15 {
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

// TestWALWhileAsked: the write-ahead log stays bounded although there is always a question
// that is being answered.
func TestWALWhileAsked(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	h := Open(Config{
		Dir: t.TempDir(), Roster: r, Keep: time.Duration(roster.MaxDate), MaxBytes: 1 << 40, CaughtUp: func() bool { return true },
		Log: slog.New(slog.DiscardHandler), Registry: prometheus.NewRegistry(),
	})
	defer h.Close()
	h.w.mostWAL, h.writeEvery = 256<<10, time.Millisecond
	ctx, end := context.WithCancel(t.Context())
	var g sync.WaitGroup
	defer g.Wait()
	defer end()
	g.Go(func() { h.Run(ctx) })
	for i := range readers - 1 {
		g.Go(func() {
			time.Sleep(time.Duration(i) * waitForReaders / 2)
			for ctx.Err() == nil {
				_ = h.Now(ctx, time.Minute, func(*View) error { time.Sleep(2 * waitForReaders); return nil })
			}
		})
	}
	f, most := kit.NewFleet(1, kit.Five, 500), int64(0)
	var b roster.Batch
	for range 15 {
		f.Fill(&b, 500)
		r.Fold(&b)
		h.Put(&b)
		kit.Eventually(t, func() bool { return h.Position().Place == b.End.Place }, "the batch is written")
		wal, err := os.Stat(h.path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, wal.Size())
	}
	if most <= h.w.mostWAL || most > 8*h.w.mostWAL {
		t.Errorf("the write-ahead log had up to %d bytes, want more than %d and at most 8 times that", most, h.w.mostWAL)
	}
}
