package stream

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// faulty is a real stream that fails now and then.
type faulty struct {
	source
	silent   atomic.Int32 // so many more consumers deliver nothing
	recovers bool         // when the connection is made anew, they do
	anew     atomic.Int32 // how often it was
	lies     atomic.Int32 // so many more looks are at another stream
}

func (f *faulty) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := f.source.consume(ctx, from)
	if err == nil && f.silent.Add(-1) >= 0 {
		d = silence{d}
	}
	return d, err
}

func (f *faulty) look(ctx context.Context) (state, error) {
	st, err := f.source.look(ctx)
	if f.lies.Add(-1) >= 0 {
		st.created++
	}
	return st, err
}

func (f *faulty) reconnect() error {
	f.anew.Add(1)
	if f.recovers {
		f.silent.Store(0)
	}
	return f.source.reconnect()
}

// silence is a consumer that says that it is there, and delivers nothing.
type silence struct{ delivery }

func (silence) next(ctx context.Context, dst []Message) ([]Message, error) {
	select {
	case <-ctx.Done():
		return dst, ctx.Err()
	case <-time.After(100 * time.Millisecond):
		return dst, nil
	}
}

// readFaulty reads a faulty stream until the test ends.
func (s *setup) readFaulty(f *faulty) *run {
	s.t.Helper()
	r := &run{t: s.t, done: make(chan error, 1), reg: prometheus.NewRegistry(), missing: map[uint64]roster.Loss{}}
	r.Reader = s.reader(r.reg)
	f.source, r.source = r.source, f
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- r.Run(ctx, roster.Position{}, r.fold) }()
	s.t.Cleanup(func() { r.end() })
	return r
}

// rebuilds is how often the consumer was made anew for a cause.
func (r *run) rebuilds(cause string) float64 {
	return testutil.ToFloat64(r.metrics.rebuilds.WithLabelValues(cause))
}

// TestWatchdogConsumer: a consumer that stands still while there is more is
// made anew after 10 seconds.
func TestWatchdogConsumer(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.publish(1, 5)
	f := new(faulty)
	f.silent.Store(1)
	r := s.readFaulty(f)
	began := time.Now()
	r.await("message 5")
	if took := time.Since(began); took < stallAfter || took > stallAfter+5*time.Second {
		t.Errorf("it took %v", took)
	}
	r.wants(upTo(5)...)
	if n := r.rebuilds(causeStalled); n != 1 || f.anew.Load() != 0 {
		t.Errorf("%v consumers made anew, %d connections", n, f.anew.Load())
	}
}

// TestWatchdogConnection: when a second consumer stands still too, the
// connection is made anew.
func TestWatchdogConnection(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	s := newSetup(t)
	s.publish(1, 5)
	f := &faulty{recovers: true}
	f.silent.Store(1_000)
	r := s.readFaulty(f)
	r.await("message 5")
	r.wants(upTo(5)...)
	if n := r.rebuilds(causeStalled); n != 2 || f.anew.Load() != 1 {
		t.Errorf("%v consumers made anew, %d connections", n, f.anew.Load())
	}
}

// TestOneOddAnswer: one answer that tells of another stream is not enough:
// neither at the start nor while reading.
func TestOneOddAnswer(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.publish(1, 5)
	f := new(faulty)
	r := s.readFaulty(f)
	r.await("message 5")
	f.lies.Store(1) // to the watch
	for f.lies.Load() >= 0 {
		<-time.After(10 * time.Millisecond)
	}
	s.publish(6, 6)
	r.await("message 6")
	if n := r.rebuilds(causeIncarnation); n != 0 {
		t.Errorf("%v consumers made anew after one odd answer", n)
	}
	s.Restart()
	f.lies.Store(2) // of which the second is to the verdict
	s.publishAgain(7, 7)
	r.await("message 7")
	r.wants(upTo(7)...)
	for _, kind := range incarnations {
		if n := testutil.ToFloat64(r.metrics.incarnations.WithLabelValues(string(kind))); n != 0 {
			t.Errorf("%v incarnations %s", n, kind)
		}
	}
	if r.unread != 0 {
		t.Errorf("%d incarnations", r.unread)
	}
}
