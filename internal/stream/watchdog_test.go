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
	silentConsumers atomic.Int32 // how many more consumers deliver nothing
	recovers        bool         // they deliver after a reconnect
	reconnects      atomic.Int32 // how many reconnects were forced
	falseInfos      atomic.Int32 // how many more info requests report another stream
}

func (f *faulty) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := f.source.consume(ctx, from)
	if err == nil && f.silentConsumers.Add(-1) >= 0 {
		d = silentDelivery{d}
	}
	return d, err
}

func (f *faulty) info(ctx context.Context) (state, error) {
	st, err := f.source.info(ctx)
	if f.falseInfos.Add(-1) >= 0 {
		st.created++
	}
	return st, err
}

func (f *faulty) reconnect() error {
	f.reconnects.Add(1)
	if f.recovers {
		f.silentConsumers.Store(0)
	}
	return f.source.reconnect()
}

// silentDelivery is a consumer that sends heartbeats, but no messages.
type silentDelivery struct{ delivery }

func (silentDelivery) next(ctx context.Context, dst []Message) ([]Message, error) {
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

// rebuilds is how often the consumer was recreated for a cause.
func (r *run) rebuilds(cause string) float64 {
	return testutil.ToFloat64(r.metrics.rebuilds.WithLabelValues(cause))
}

// TestWatchdogConsumer: a consumer that stalls while messages are pending is
// recreated after 10 seconds.
func TestWatchdogConsumer(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.publish(1, 5)
	f := new(faulty)
	f.silentConsumers.Store(1)
	r := s.readFaulty(f)
	began := time.Now()
	r.await("message 5")
	if took := time.Since(began); took < stallAfter || took > stallAfter+5*time.Second {
		t.Errorf("it took %v", took)
	}
	r.wantMessages(upTo(5)...)
	if n := r.rebuilds(causeStalled); n != 1 || f.reconnects.Load() != 0 {
		t.Errorf("%v consumers recreated, %d reconnects", n, f.reconnects.Load())
	}
}

// TestWatchdogConnection: when a second consumer stalls, too, a reconnect is
// forced.
func TestWatchdogConnection(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	s := newSetup(t)
	s.publish(1, 5)
	f := &faulty{recovers: true}
	f.silentConsumers.Store(1_000)
	r := s.readFaulty(f)
	r.await("message 5")
	r.wantMessages(upTo(5)...)
	if n := r.rebuilds(causeStalled); n != 2 || f.reconnects.Load() != 1 {
		t.Errorf("%v consumers recreated, %d reconnects", n, f.reconnects.Load())
	}
}

// TestOneOddAnswer: one answer that reports another stream is not enough, neither at
// the start nor while reading.
func TestOneOddAnswer(t *testing.T) {
	t.Parallel()
	s := newSetup(t)
	s.publish(1, 5)
	f := new(faulty)
	r := s.readFaulty(f)
	r.await("message 5")
	f.falseInfos.Store(1) // the watch gets it
	for f.falseInfos.Load() >= 0 {
		<-time.After(10 * time.Millisecond)
	}
	s.publish(6, 6)
	r.await("message 6")
	if n := r.rebuilds(causeIncarnation); n != 0 {
		t.Errorf("%v consumers recreated after one odd answer", n)
	}
	s.Restart()
	f.falseInfos.Store(2) // the second of them is used for the verdict
	s.publishAgain(7, 7)
	r.await("message 7")
	r.wantMessages(upTo(7)...)
	for _, kind := range incarnations {
		if n := testutil.ToFloat64(r.metrics.incarnations.WithLabelValues(string(kind))); n != 0 {
			t.Errorf("%v incarnations %s", n, kind)
		}
	}
	if r.unread != 0 {
		t.Errorf("%d incarnations", r.unread)
	}
}
