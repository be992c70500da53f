package stream

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/test/kit"
)

// consumer makes a consumer that has delivered all there is.
func (s *setup) consumer(beat time.Duration, messages int) *consumer {
	s.t.Helper()
	source := s.reader(prometheus.NewRegistry()).source.(*jetStream)
	source.beat = beat
	d, err := source.consume(s.t.Context(), 1)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.close)
	var got []Message
	for len(got) < messages {
		if got, err = d.next(s.t.Context(), got); err != nil {
			s.t.Fatal(err)
		}
	}
	return d.(*consumer)
}

// wantDoubt wants the consumer to be in doubt before a time has passed.
func (c *consumer) wantDoubt(t *testing.T, cause string, within time.Duration) {
	t.Helper()
	var err error
	for began := time.Now(); err == nil && time.Since(began) < within; {
		_, err = c.next(t.Context(), nil)
	}
	if err == nil || causeOf(err) != cause {
		t.Errorf("got %v, want a doubt for %q", err, cause)
	}
}

// TestSilence: a consumer of which nothing is heard any more, not even that it
// is idle, is in doubt.
func TestSilence(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	c := s.consumer(100*time.Millisecond, 3)
	for _, l := range c.subscriptions {
		if err := l.sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	c.wantDoubt(t, causeSilence, 10*time.Second)
}

// TestServerEndsConsumer: that the server has ended a consumer counts as soon as
// it says so, long before nothing is heard of it.
func TestServerEndsConsumer(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	c := s.consumer(3*time.Second, 3)
	if err := s.stream.DeleteConsumer(t.Context(), c.name); err != nil {
		t.Fatal(err)
	}
	c.wantDoubt(t, causeServer, 3*c.beat)
}

// TestReconnected: after a reconnect a consumer is in doubt at once: what was on
// its way to the connection of before may be lost.
func TestReconnected(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	c := s.consumer(3*time.Second, 3)
	if err := c.reconnect(); err != nil {
		t.Fatal(err)
	}
	c.wantDoubt(t, causeReconnect, 2*c.beat)
}

// TestNoConsumerWhileAway: while the connection is away no consumer is asked
// for: the question would be put when it is back, and the answer be nobody's.
func TestNoConsumerWhileAway(t *testing.T) {
	s := newSetup(t)
	source := s.reader(prometheus.NewRegistry()).source.(*jetStream)
	s.Stop()
	kit.Eventually(t, func() bool { return source.nc.Status() == nats.RECONNECTING }, "the connection is away")
	d, err := source.consume(t.Context(), 1)
	if err == nil {
		d.close()
	}
	if causeOf(err) != causeReconnect {
		t.Errorf("got %v, want a doubt because of the connection", err)
	}
	s.Start()
	kit.Eventually(t, source.nc.IsConnected, "the connection is back")
	kit.Eventually(t, func() bool {
		info, err := s.stream.Info(t.Context())
		return err == nil && info.State.Consumers == 0
	}, "there is no consumer")
}

// TestEmptyStreams: a stream without messages begins after its end, whether it
// never had any or has lost them.
func TestEmptyStreams(t *testing.T) {
	s := newSetup(t)
	source := s.reader(prometheus.NewRegistry()).source
	wants := func(first, last uint64) {
		t.Helper()
		if st, err := source.look(t.Context()); err != nil || st.first != first || st.last != last {
			t.Errorf("from %d to %d, %v; want from %d to %d", st.first, st.last, err, first, last)
		}
	}
	wants(1, 0)
	s.publish(1, 3)
	if err := s.stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(4, 3)
}
