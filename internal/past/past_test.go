package past

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestCursor: an answer that takes long says how far it is, and goes on with
// its cursor; its rows come in parts, each as often as it is asked for.
func TestCursor(t *testing.T) {
	w, moment := hundred(t)
	w.patience = 10 * time.Millisecond
	w.behind.Store(true)
	a, err := w.Ask(t.Context(), Question{To: moment})
	if err != nil || a.Done || a.Rows() != 0 || a.Read > a.Last {
		t.Fatalf("%+v, %v: want an answer that is not done", a, err)
	}
	first := a.Take(0)
	if a, err = w.Continue(t.Context(), first); err != nil || a.Done || a.Take(0) != first {
		t.Fatalf("%+v, %v: want the same again", a, err)
	}
	w.behind.Store(false)
	w.patience = 20 * time.Second
	var rows []On
	for cursor := first; cursor != ""; {
		again, err := w.Continue(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		if a, err = w.Continue(t.Context(), cursor); err != nil || !reflect.DeepEqual(a.On, again.On) {
			t.Fatalf("asked again: %v, %v, want %v", a.On, err, again.On)
		}
		n := min(7, a.Rows())
		rows = append(rows, a.On[:n]...)
		cursor = a.Take(n)
	}
	if a.First != 1 || a.Read != 200 || a.Last != 200 || a.Place != 200 {
		t.Errorf("read from %d to %d of %d, place %d", a.First, a.Read, a.Last, a.Place)
	}
	if len(rows) != 100 || !slices.IsSortedFunc(rows, func(a, b On) int { return strings.Compare(a.Machine, b.Machine) }) {
		t.Errorf("%d rows, or not in order: %v", len(rows), rows)
	}
	w.awaitNone(t)
	if _, err := w.Continue(t.Context(), first); !errors.Is(err, ErrGone) {
		t.Errorf("after the end: %v, want ErrGone", err)
	}
	w.counted(t, resultAnswered, 1)
}

func (w *world) awaitNone(t *testing.T) {
	t.Helper()
	kit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.underWay) == 0 }, "no question is under way")
}

func (w *world) counted(t *testing.T, result string, want float64) {
	t.Helper()
	if got := testutil.ToFloat64(w.metrics.ended.WithLabelValues(result)); got != want {
		t.Errorf("%v questions were %s, want %v", got, result, want)
	}
}

// TestBusy: beyond the limit questions are refused, until one is over.
func TestBusy(t *testing.T) {
	w, moment := hundred(t, func(c *Config) { c.MaxQuestions = 2 })
	w.patience = time.Millisecond
	w.behind.Store(true)
	var last *Answer
	for range 2 {
		var err error
		if last, err = w.Ask(t.Context(), Question{To: moment}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Ask(t.Context(), Question{To: moment}); !errors.Is(err, ErrBusy) {
		t.Fatalf("%v, want ErrBusy", err)
	}
	w.behind.Store(false)
	w.patience = 20 * time.Second
	a, err := w.Continue(t.Context(), last.Take(0))
	if err != nil || !a.Done {
		t.Fatalf("%+v, %v", a, err)
	}
	a.Take(a.Rows())
	kit.Eventually(t, func() bool {
		a, err := w.Ask(t.Context(), Question{To: moment})
		return err == nil && a.Done
	}, "there is room for another")
	w.counted(t, resultAnswered, 1)
	if n := testutil.ToFloat64(w.metrics.ended.WithLabelValues(resultRefused)); n < 1 {
		t.Errorf("%v questions were refused", n)
	}
}

// TestUnasked: a question that nobody asks on is over, whether it was answered
// or not.
func TestUnasked(t *testing.T) {
	for _, answered := range []bool{false, true} {
		w, moment := hundred(t)
		w.idle = 20 * time.Millisecond
		if !answered {
			w.patience = time.Millisecond
			w.behind.Store(true)
		}
		a, err := w.Ask(t.Context(), Question{To: moment})
		if err != nil || a.Done != answered {
			t.Fatalf("%+v, %v", a, err)
		}
		w.awaitNone(t)
		if _, err := w.Continue(t.Context(), a.Take(0)); !errors.Is(err, ErrGone) {
			t.Fatalf("%v, want ErrGone", err)
		}
		w.counted(t, resultUnasked, 1)
	}
}

// TestAskerLeaves: a question of which nobody has the cursor is over at once.
func TestAskerLeaves(t *testing.T) {
	w, moment := hundred(t)
	w.idle = time.Hour
	w.behind.Store(true)
	ctx, leave := context.WithCancel(t.Context())
	asked := make(chan error)
	go func() {
		_, err := w.Ask(ctx, Question{To: moment})
		asked <- err
	}()
	kit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.underWay) == 1 }, "the question is under way")
	leave()
	if err := <-asked; !errors.Is(err, context.Canceled) {
		t.Fatalf("%v, want context.Canceled", err)
	}
	w.awaitNone(t)
}

// TestClose: nothing runs after it, and who waits is told.
func TestClose(t *testing.T) {
	w, moment := hundred(t)
	w.behind.Store(true)
	asked := make(chan error)
	go func() {
		_, err := w.Ask(t.Context(), Question{To: moment})
		asked <- err
	}()
	kit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.underWay) == 1 }, "the question is under way")
	w.Close()
	if err := <-asked; !errors.Is(err, ErrClosed) {
		t.Errorf("%v, want ErrClosed", err)
	}
	if _, err := w.Ask(t.Context(), Question{To: moment}); !errors.Is(err, ErrClosed) {
		t.Errorf("asked after it: %v, want ErrClosed", err)
	}
}

func TestBadQuestions(t *testing.T) {
	w, moment := hundred(t)
	for field, q := range map[string]Question{
		"at":   {To: -1},
		"to":   {Stays: true, To: roster.MaxDate + 1},
		"from": {Stays: true, To: 1, From: 2},
	} {
		_, err := w.Ask(t.Context(), q)
		if wrong, ok := errors.AsType[*FieldError](err); !ok || wrong.Field != field {
			t.Errorf("%+v: %v, want the field %s", q, err, field)
		}
	}
	if _, err := w.Ask(t.Context(), Question{Machine: "nowhere", To: moment}); !errors.Is(err, ErrUnknownMachine) {
		t.Errorf("unknown machine: %v", err)
	}
	w.awaitNone(t)
	w.counted(t, resultRefused, 1) // no failure of the service's
	w.counted(t, resultFailed, 0)
	a, err := w.Ask(t.Context(), Question{To: moment})
	if err != nil {
		t.Fatal(err)
	}
	for _, cursor := range []string{"", "x", "x.", "x.-1", "x.+1", "x.01", "x.1e3", a.inquiry.id + ".101"} {
		_, err := w.Continue(t.Context(), cursor)
		if wrong, ok := errors.AsType[*FieldError](err); !ok || wrong.Field != "cursor" {
			t.Errorf("cursor %q: %v", cursor, err)
		}
	}
	if _, err := w.Continue(t.Context(), "other.0"); !errors.Is(err, ErrGone) {
		t.Errorf("cursor of another process: %v", err)
	}
}

// TestBounded: what does not fit in memory is no answer.
func TestBounded(t *testing.T) {
	w, moment := hundred(t, func(c *Config) { c.MaxRecords = 60 })
	for _, q := range []Question{{To: moment}, {To: roster.MaxDate}, {Stays: true, To: moment}} {
		if _, err := w.Ask(t.Context(), q); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%+v: %v, want ErrTooLarge", q, err)
		}
		w.awaitNone(t)
	}
	if n := len(w.ask(t, t, Question{Machine: "machine-07", To: moment}).On); n != 1 {
		t.Errorf("%d are on one machine, want 1", n)
	}
	// The roster remembers little of what one user did, and all of it is asked for.
	for i := range 200 {
		e := kit.Login("busy", "lane")
		if i%2 == 1 {
			e = kit.Logout("busy", "lane")
		}
		w.send(at(ago(20-float64(i)/10), e), false)
	}
	w.read(t, t)
	if _, err := w.Ask(t.Context(), Question{Machine: "busy", Stays: true, To: roster.MaxDate}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a hundred stays: %v, want ErrTooLarge", err)
	}
}
