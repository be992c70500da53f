package service

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
)

// wantState runs a check.
func (s *service) wantState(t *testing.T, name string, holds bool, state string) {
	t.Helper()
	for _, check := range s.checks() {
		if check.Name != name {
			continue
		}
		if gotHolds, got := check.Run(); gotHolds != holds || got != state {
			t.Errorf("%s: %t, %s, want %t, %s", name, gotHolds, got, holds, state)
		}
	}
}

// TestChecksAtTheStart: the checks are asked before anything is there, and
// whether the events can be read is not asked of the connection, but noted.
func TestChecksAtTheStart(t *testing.T) {
	s := new(service)
	s.wantState(t, "caught up", false, "starting")
	s.wantState(t, "nats", false, "connecting")
	s.wantState(t, "snapshot", false, "starting")
	s.wantState(t, "reports", false, "starting")
	s.wantState(t, "dead letters", false, "starting")
	s.links.events.conn.Store(new(nats.Conn))
	s.wantState(t, "nats", false, "connecting")
	s.links.other.conn.Store(new(nats.Conn))
	s.wantState(t, "nats", true, "CONNECTED")
	s.links.other.goes()
	since := func(l *link) string { return " since " + l.away.Load().UTC().Format(time.RFC3339) }
	s.wantState(t, "nats", false, "RECONNECTING: other"+since(&s.links.other))
	s.links.events.goes()
	s.wantState(t, "nats", false, "RECONNECTING: events"+since(&s.links.events)+", other"+since(&s.links.other))
	s.links.events.comes()
	s.links.other.comes()
	s.wantState(t, "nats", true, "CONNECTED")
}

// TestChecksOfAReplay: a service that has not read all that there was is not
// ready.
func TestChecksOfAReplay(t *testing.T) {
	nc := kit.Conn(t, kit.StartServer(t).URL)
	reader, err := stream.New(stream.Config{Conn: nc, Stream: "S", Log: kit.Logger(t), Registry: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	s := new(service)
	s.caughtUp.Store(reader)
	s.wantState(t, "caught up", false, "replaying, 0 messages to go")
}

// TestClosedIsHeardOf: that a connection has ended for good is an error that
// makes the service begin anew. That we have closed it ourselves is none.
func TestClosedIsHeardOf(t *testing.T) {
	url := kit.StartServer(t).URL
	s := &service{lost: make(chan error, 2)}
	ours, ended := make(chan struct{}), kit.Conn(t, url, nats.ClosedHandler(s.closed))
	kit.Conn(t, url, nats.ClosedHandler(func(nc *nats.Conn) { s.closed(nc); close(ours) })).Close()
	<-ours
	if len(s.lost) > 0 {
		t.Errorf("closed by ourselves: %v", <-s.lost)
	}
	if err := ended.Publish(strings.Repeat("x", 5000), nil); err != nil { // a protocol error
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return len(s.lost) == 1 }, "the service hears of it")
	if err := <-s.lost; !errors.Is(err, errClosed) {
		t.Errorf("got %v, want that of a connection that is closed", err)
	}
}
