package history

import (
	"context"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// openedIn returns the history in a folder, and its roster.
func openedIn(dir string) (*History, *roster.Roster) {
	r := roster.New(roster.DefaultSettings())
	return openWith(Config{Dir: dir, Roster: r, CaughtUp: func() bool { return true }}), r
}

func openWith(c Config) *History {
	c.Keep, c.MaxBytes, c.Log, c.Registry = time.Duration(roster.MaxDate), 1<<40, slog.New(slog.DiscardHandler), prometheus.NewRegistry()
	return Open(c)
}

// running runs a history until the function is called that it returns.
func running(t *testing.T, h *History) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var g sync.WaitGroup
	g.Go(func() { h.Run(ctx) })
	end = sync.OnceFunc(func() { cancel(); g.Wait() })
	t.Cleanup(end)
	return end
}

// foldSome folds 500 events of 100 machines, of which the history is told, and returns once
// it has written them.
func foldSome(t *testing.T, h *History, r *roster.Roster) {
	t.Helper()
	var b roster.Batch
	kit.NewFleet(1, kit.Five, 500).Fill(&b, 500)
	h.writeEvery = time.Millisecond
	r.Fold(&b)
	h.Put(&b)
	end := running(t, h)
	kit.Eventually(t, func() bool { return h.Position().Place == b.End.Place }, "the events are written")
	end()
}

// TestTidyWAL: when the history is closed, its write-ahead log is moved to the file, unless
// it is large. Either way nothing is lost.
func TestTidyWAL(t *testing.T) {
	for tidy, left := range map[int64]bool{1 << 30: false, 1: true} {
		dir := t.TempDir()
		h, r := openedIn(dir)
		h.tidyWAL = tidy
		foldSome(t, h, r)
		place := h.Position().Place
		h.Close()
		if _, err := os.Stat(filepath.Join(dir, FileName+"-wal")); errors.Is(err, fs.ErrNotExist) == left {
			t.Errorf("at most %d bytes are moved: %v", tidy, err)
		}
		h, _ = openedIn(dir)
		if got := h.Position().Place; got != place {
			t.Errorf("at most %d bytes are moved: place %d, want %d", tidy, got, place)
		}
		h.Close()
	}
}

// TestSymbolicLink: the file may be on another disk, to which a symbolic link points.
func TestSymbolicLink(t *testing.T) {
	dir, other := t.TempDir(), filepath.Join(t.TempDir(), "other.db")
	if err := os.Symlink(other, filepath.Join(dir, FileName)); err != nil {
		t.Skip(err)
	}
	h, r := openedIn(dir)
	defer h.Close()
	if err := h.Failing(); err != nil {
		t.Fatal(err)
	}
	foldSome(t, h, r)
	if f, err := os.Stat(other); err != nil || f.Size() == 0 {
		t.Error(f, err)
	}
	wal, err := os.Stat(other + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	if size := h.Status().Bytes; size <= wal.Size() {
		t.Errorf("%d bytes, %d of them in the write-ahead log", size, wal.Size())
	}
}

// TestCatchesUpAfterTheFold: a history that is behind at the start waits with reading the
// stream until the fold has caught up.
func TestCatchesUpAfterTheFold(t *testing.T) {
	var asked, caughtUp, read atomic.Int32
	r := roster.New(roster.DefaultSettings())
	kit.NewFleet(1, kit.Five, 500).Fold(r, 500)
	h := openWith(Config{
		Dir: t.TempDir(), Roster: r,
		CaughtUp: func() bool { asked.Add(1); return caughtUp.Load() != 0 },
		Restore:  func(uint64) (*roster.Roster, error) { return nil, nil },
		Read: func(ctx context.Context, _ roster.Position, _ func(Decode)) error {
			read.Add(1)
			<-ctx.Done()
			return ctx.Err()
		},
	})
	defer h.Close()
	h.nearby = 0
	defer running(t, h)()
	kit.Eventually(t, func() bool { return asked.Load() > 2 || read.Load() > 0 }, "it asks again whether the fold has caught up")
	if read.Load() != 0 {
		t.Error("it reads the stream before the fold has caught up")
	}
	caughtUp.Store(1)
	kit.Eventually(t, func() bool { return read.Load() != 0 }, "it reads the stream")
	if !h.Behind() {
		t.Error("it isn't behind while it reads the stream")
	}
}

// TestAnswersWhileCatchingUp: a question does not wait until a history that catches up has
// what was folded before: that takes too long.
func TestAnswersWhileCatchingUp(t *testing.T) {
	h, r := openedIn(t.TempDir())
	defer h.Close()
	h.setCatching(true)
	kit.NewFleet(1, kit.Five, 500).Fold(r, 500)
	start := time.Now()
	if err := h.View(t.Context(), func(*View) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took >= waitForWriter {
		t.Errorf("it took %v", took)
	}
	if !h.Behind() || !h.Status().Behind {
		t.Error("it isn't behind")
	}
}

// TestFleetIsReadOnce: of several questions about one moment at the same time, one reads who
// was on, and the others use that.
func TestFleetIsReadOnce(t *testing.T) {
	h, r := openedIn(t.TempDir())
	defer h.Close()
	foldSome(t, h, r)
	var asking, asked sync.WaitGroup
	var fleets [readers]*Fleet
	h.fleets.reading.Lock()
	for i := range fleets {
		asking.Add(1)
		asked.Go(func() {
			if err := h.Now(t.Context(), time.Minute, func(v *View) (err error) {
				asking.Done()
				fleets[i], err = h.fleet(v, newYear+day, "")
				return err
			}); err != nil {
				t.Error(err)
			}
		})
	}
	asking.Wait()
	h.fleets.reading.Unlock()
	asked.Wait()
	for i, f := range fleets {
		if f == nil || f != fleets[0] {
			t.Errorf("question %d has read another", i)
		}
	}
}
