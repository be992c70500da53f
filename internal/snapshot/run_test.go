package snapshot

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/throttle"
)

// running is a Run in a bubble of synctest, where sleeping takes no time.
type running struct {
	store *Store
	dir   string
	log   *kit.Output
	stop  context.CancelFunc
	done  chan error
}

func run(t *testing.T, r *roster.Roster, every time.Duration, settled func(context.Context, uint64) error) *running {
	log, dir := new(kit.Output), t.TempDir()
	s, err := Open(dir, "test", slog.New(throttle.New(slog.NewTextHandler(log, nil))), prometheus.NewPedanticRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s.AwaitStored = settled
	ctx, cancel := context.WithCancel(t.Context())
	u := &running{s, dir, log, cancel, make(chan error, 1)}
	go func() { u.done <- s.Run(ctx, r, every) }()
	return u
}

// bubble is [synctest.Test]. It creates the shared decompressor first: created in
// one bubble, it could not be used in another.
func bubble(t *testing.T, f func(*testing.T)) {
	t.Helper()
	if _, err := decompressor(); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, f)
}

// pass advances the clock of a bubble, and waits until everything due has been done.
func pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

func TestRunSavesWhatChanged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := roster.New(goldenSettings)
		u := run(t, r, 30*time.Second, nil)
		pass(time.Hour)
		if got := names(t, u.dir); got != "" {
			t.Errorf("nothing was read: %s", got)
		}
		advance(r)
		pass(time.Minute)
		first, ok := u.store.Last()
		if !ok || first.Status.Position != position(1) {
			t.Errorf("last %+v", first)
		}
		pass(time.Hour)
		if last, _ := u.store.Last(); last != first {
			t.Errorf("saved again without a change: %+v", last)
		}
		advance(r)
		u.stop()
		if err := <-u.done; err != nil {
			t.Error(err)
		}
		if got := names(t, u.dir); got != "1.rollcall 2.rollcall" {
			t.Errorf("after shutdown: %s", got)
		}
	})
}

// TestRunRetries lets every snapshot fail for ten minutes.
func TestRunRetries(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := roster.New(goldenSettings)
		var broken atomic.Bool
		broken.Store(true)
		u := run(t, r, 5*time.Second, func(context.Context, uint64) error {
			if broken.Load() {
				return errors.New("dead letters not stored")
			}
			return nil
		})
		advance(r)
		pass(10*time.Minute + time.Second/2)
		synctest.Wait() // for what the log says when a minute is over
		if got := testutil.ToFloat64(u.store.metrics.errors); got != 120 {
			t.Errorf("%v errors", got)
		}
		if got := u.log.Count("dead letters not stored"); got < 10 || got > 40 {
			t.Errorf("logged %d times in ten minutes", got)
		}
		broken.Store(false)
		pass(5 * time.Second)
		if got := names(t, u.dir); got != "1.rollcall" {
			t.Errorf("after the failures: %s", got)
		}
		u.stop()
		if err := <-u.done; err != nil {
			t.Error(err)
		}
	})
}

// TestRunEndsInTime stops Run while dead letters are never stored.
func TestRunEndsInTime(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := roster.New(goldenSettings)
		u := run(t, r, time.Second, func(ctx context.Context, _ uint64) error {
			<-ctx.Done()
			return ctx.Err()
		})
		advance(r)
		pass(time.Minute)
		if got := testutil.ToFloat64(u.store.metrics.errors); got != 0 {
			t.Errorf("%v errors", got)
		}
		stopped := time.Now()
		u.stop()
		if err := <-u.done; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the last snapshot: %v", err)
		}
		if took := time.Since(stopped); took != finalSaveTimeout {
			t.Errorf("took %v", took)
		}
		if got := testutil.ToFloat64(u.store.metrics.errors); got != 1 {
			t.Errorf("%v errors, want that of the last", got)
		}
		if got := names(t, u.dir); got != "" {
			t.Errorf("left %s", got)
		}
	})
}

func TestSaveIsInterruptible(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	advance(r)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	s.AwaitStored = func(context.Context, uint64) error { t.Error("written to the end"); return nil }
	if _, err := s.Save(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("writing: %v", err)
	}
	ctx, cancel = context.WithCancel(t.Context())
	s.AwaitStored = func(context.Context, uint64) error { cancel(); return nil }
	if _, err := s.Save(ctx, r); !errors.Is(err, context.Canceled) {
		t.Errorf("verifying: %v", err)
	}
	if got := names(t, dir); got != "" {
		t.Errorf("left %s", got)
	}
	if _, failing := s.Failing(); failing != nil || testutil.ToFloat64(s.metrics.errors) != 0 {
		t.Errorf("a canceled save counts as failed: %v", failing)
	}
}
