package throttle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/test/kit"
)

// drain returns the lines since the last call.
func drain(r *kit.Output) []string {
	lines := strings.Split(strings.TrimSuffix(r.Drain(), "\n"), "\n")
	if lines[0] == "" {
		return nil
	}
	return lines
}

// newLog returns a handler, its logger and the output, from level debug on and
// without the times of the records.
func newLog() (*Handler, *slog.Logger, *kit.Output) {
	r := new(kit.Output)
	h := New(slog.NewTextHandler(r, &slog.HandlerOptions{
		Level: slog.LevelDebug,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{}
			}
			if a.Key == Last {
				return slog.Time(Last, a.Value.Time().UTC())
			}
			return a
		},
	}))
	return h, slog.New(h), r
}

// TestBurst: of a complaint ten times a second, a few a minute are logged, with how
// many were left out.
func TestBurst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, log, r := newLog()
		for i := range 600 {
			log.Warn("trouble", "n", i)
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		got := drain(r)
		if len(got) != burst+1 || strings.Contains(got[burst-1], LeftOut) {
			t.Fatalf("in a minute: %q", got)
		}
		if want := fmt.Sprintf("level=WARN msg=trouble n=599 last=2000-01-01T00:00:59.900Z left_out=%d", 600-burst-1); got[burst] != want {
			t.Errorf("got %q, want %q", got[burst], want)
		}
		for range 4 * 600 {
			log.Warn("trouble")
			time.Sleep(100 * time.Millisecond)
		}
		synctest.Wait()
		if got := drain(r); len(got) != 4*burst {
			t.Errorf("in the next four minutes: %d lines", len(got))
		}
	})
}

// TestLastIsLogged: the last record left out is logged even if no other follows,
// and after a quiet minute the kind is forgotten.
func TestLastIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log, r := newLog()
		for i := range burst + 3 {
			log.Error("events are lost", "accept", i)
		}
		drain(r)
		time.Sleep(window)
		synctest.Wait()
		want := fmt.Sprintf("level=ERROR msg=\"events are lost\" accept=%d last=2000-01-01T00:00:00.000Z left_out=2", burst+2)
		if got := drain(r); len(got) != 1 || got[0] != want {
			t.Errorf("got %q, want %q", got, want)
		}
		time.Sleep(window)
		synctest.Wait()
		if len(h.tallies.kinds) != 0 {
			t.Error("the kind is still remembered")
		}
		for range burst {
			log.Error("events are lost")
		}
		if got := drain(r); len(got) != burst {
			t.Errorf("after the window: %q", got)
		}
	})
}

// TestFlush: Flush logs the last record left out.
func TestFlush(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, log, r := newLog()
		for i := range burst + 2 {
			log.Warn("trouble", "n", i)
		}
		drain(r)
		h.Flush()
		h.Flush()
		if got := drain(r); len(got) != 1 || got[0] != fmt.Sprintf("level=WARN msg=trouble n=%d last=2000-01-01T00:00:00.000Z left_out=1", burst+1) {
			t.Errorf("got %q", got)
		}
	})
}

// TestTimesNeverDecrease: a record that is logged late, after the window or by
// Flush, has the time at which it is logged, so no line is older than the one
// before.
func TestTimesNeverDecrease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r kit.Output
		h := New(slog.NewTextHandler(&r, nil))
		log := slog.New(h)
		complain := func() {
			for range burst + 3 {
				log.Error("nats refuses the login")
				time.Sleep(time.Second)
			}
			log.Info("reconnected to nats")
		}
		complain()
		time.Sleep(window)
		synctest.Wait()
		complain()
		time.Sleep(time.Second)
		h.Flush()
		lines := drain(&r)
		if late := strings.Count(strings.Join(lines, "\n"), " "+Last+"="); late != 2 {
			t.Errorf("%d lines logged late, want 2:\n%q", late, lines)
		}
		before := ""
		for _, line := range lines {
			at, _, _ := strings.Cut(line, " ")
			if at < before {
				t.Errorf("%s is logged after %s", line, before)
			}
			before = at
		}
	})
}

// TestKinds: which records are of one kind, and which are not complaints.
func TestKinds(t *testing.T) {
	ctx := context.Background()
	for name, tt := range map[string]struct {
		log func(log *slog.Logger, i int)
		all bool
	}{
		"one message":                {func(log *slog.Logger, i int) { log.Warn("a", "place", i, "err", errors.New(strconv.Itoa(i))) }, false},
		"many messages":              {func(log *slog.Logger, i int) { log.Warn(strconv.Itoa(i)) }, true},
		"many levels":                {func(log *slog.Logger, i int) { log.Log(ctx, slog.LevelWarn+slog.Level(i), "a") }, true},
		"many reasons":               {func(log *slog.Logger, i int) { log.Error("a", "reason", i) }, true},
		"many causes of the logger":  {func(log *slog.Logger, i int) { log.With("cause", i).Error("a") }, true},
		"many causes in a group":     {func(log *slog.Logger, i int) { log.WithGroup("g").Error("a", "cause", i) }, false},
		"many kinds":                 {func(log *slog.Logger, i int) { log.WarnContext(WithKind(ctx, strconv.Itoa(i)), "a") }, true},
		"one kind":                   {func(log *slog.Logger, i int) { log.WarnContext(WithKind(ctx, "x"), "a", "text", i) }, false},
		"info":                       {func(log *slog.Logger, i int) { log.Info("a", "n", i) }, true},
		"info with an error":         {func(log *slog.Logger, i int) { log.Info("a", "err", i) }, false},
		"info with a logger's error": {func(log *slog.Logger, i int) { log.With("err", i).Info("a") }, false},
		"info of a kind":             {func(log *slog.Logger, i int) { log.InfoContext(WithKind(ctx, "x"), "a") }, false},
		"info with one cause":        {func(log *slog.Logger, i int) { log.Info("a", "cause", "reconnect") }, false},
		"debug":                      {func(log *slog.Logger, i int) { log.Debug("a", "err", i) }, true},
		"loggers derived from one":   {func(log *slog.Logger, i int) { log.With("n", i).Warn("a") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			_, log, r := newLog()
			for i := range 20 {
				tt.log(log, i)
			}
			want := burst
			if tt.all {
				want = 20
			}
			if got := drain(r); len(got) != want {
				t.Errorf("%d of 20 logged, want %d:\n%q", len(got), want, got)
			}
		})
	}
}

// TestBounded: the number of kinds is bounded, and complaints beyond it are
// throttled, too.
func TestBounded(t *testing.T) {
	h, log, r := newLog()
	for i := range 3 * maxKinds {
		log.Warn("trouble", "reason", i)
	}
	if n := len(h.tallies.kinds); n > maxKinds+1 {
		t.Errorf("%d kinds remembered", n)
	}
	if got := len(drain(r)); got != maxKinds+burst {
		t.Errorf("%d lines, want %d", got, maxKinds+burst)
	}
}

// TestDisabled: levels that the next handler disables are not logged.
func TestDisabled(t *testing.T) {
	r := new(kit.Output)
	log := slog.New(New(slog.NewTextHandler(r, &slog.HandlerOptions{Level: slog.LevelError})))
	log.Warn("trouble")
	if log.Enabled(context.Background(), slog.LevelWarn) || drain(r) != nil {
		t.Error("a level below the next handler's is logged")
	}
}

// TestAttributesKept: a record that is logged late has the groups and attributes of
// its logger.
func TestAttributesKept(t *testing.T) {
	h, log, r := newLog()
	log = log.With("file", "x").WithGroup("g")
	for range burst + 1 {
		log.Error("damaged", "n", 1)
	}
	h.Flush()
	for _, line := range drain(r) {
		if line, _, _ = strings.Cut(line, " g.last="); line != "level=ERROR msg=damaged file=x g.n=1" {
			t.Errorf("got %q", line)
		}
	}
}

// TestConcurrent: complaints from several goroutines are all counted.
func TestConcurrent(t *testing.T) {
	h, log, r := newLog()
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 500 {
				log.With("worker", i).Warn("trouble", "reason", n%2)
			}
		})
	}
	all.Wait()
	h.Flush()
	logged, leftOut := 0, 0
	for _, line := range drain(r) {
		logged++
		if _, n, ok := strings.Cut(line, LeftOut+"="); ok {
			count, err := strconv.Atoi(n)
			if err != nil {
				t.Fatal(err)
			}
			leftOut += count
		}
	}
	if logged != 2*(burst+1) || logged+leftOut != 8*500 {
		t.Errorf("%d logged, %d left out, want %d of %d", logged, leftOut, 2*(burst+1), 8*500)
	}
}
