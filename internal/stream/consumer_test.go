package stream

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/test/kit"
)

// consumer creates a consumer and reads this many messages from it.
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

// wantDoubt waits for the consumer to return a doubt with this cause.
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

// TestSilence: a consumer that sends nothing any more, not even heartbeats, is in
// doubt.
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

// TestServerEndsConsumer: when the server reports that it ended a consumer, the
// consumer is in doubt at once, not only after a silence.
func TestServerEndsConsumer(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	c := s.consumer(3*time.Second, 3)
	if err := s.stream.DeleteConsumer(t.Context(), c.name); err != nil {
		t.Fatal(err)
	}
	c.wantDoubt(t, causeServer, 3*c.beat)
}

// TestServerGone: a consumer that no longer exists, and of whose end nothing was received, is in
// doubt soon after a heartbeat is overdue.
func TestServerGone(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	c := s.consumer(time.Second, 3)
	for _, l := range c.subscriptions { // which would receive that it was deleted
		if err := l.sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.stream.DeleteConsumer(t.Context(), c.name); err != nil {
		t.Fatal(err)
	}
	c.wantDoubt(t, causeServer, 3*c.beat)
}

// TestReconnected: after a reconnect a consumer is in doubt at once, since messages in
// flight on the old connection may be lost.
func TestReconnected(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	c := s.consumer(3*time.Second, 3)
	if err := c.reconnect(); err != nil {
		t.Fatal(err)
	}
	c.wantDoubt(t, causeReconnect, 2*c.beat)
}

// TestNoConsumerWhileDisconnected: no consumer is requested while disconnected: the
// client would send the request on reconnect, when nobody waits for the answer.
func TestNoConsumerWhileDisconnected(t *testing.T) {
	s := newSetup(t)
	source := s.reader(prometheus.NewRegistry()).source.(*jetStream)
	s.Stop()
	kit.Eventually(t, func() bool { return source.nc.Status() == nats.RECONNECTING }, "disconnected")
	d, err := source.consume(t.Context(), 1)
	if err == nil {
		d.close()
	}
	if causeOf(err) != causeReconnect {
		t.Errorf("got %v, want a doubt because of the connection", err)
	}
	s.Start()
	kit.Eventually(t, source.nc.IsConnected, "reconnected")
	kit.Eventually(t, func() bool {
		info, err := s.stream.Info(t.Context())
		return err == nil && info.State.Consumers == 0
	}, "there is no consumer")
}

// TestEmptyStreams: the first sequence of a stream without messages is the one after
// its last, whether it never had any or lost them.
func TestEmptyStreams(t *testing.T) {
	s := newSetup(t)
	source := s.reader(prometheus.NewRegistry()).source
	want := func(first, last uint64) {
		t.Helper()
		if st, err := source.info(t.Context()); err != nil || st.first != first || st.last != last {
			t.Errorf("from %d to %d, %v; want from %d to %d", st.first, st.last, err, first, last)
		}
	}
	want(1, 0)
	s.publish(1, 3)
	if err := s.stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(4, 3)
}
