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

// TestChecksAtTheStart: the checks work before anything exists, and take the state of the
// connections from their handlers.
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
	s.links.other.setDown()
	since := func(l *link) string { return " since " + l.downSince.Load().UTC().Format(time.RFC3339) }
	s.wantState(t, "nats", false, "RECONNECTING: other"+since(&s.links.other))
	s.links.events.setDown()
	s.wantState(t, "nats", false, "RECONNECTING: events"+since(&s.links.events)+", other"+since(&s.links.other))
	s.links.events.setUp()
	s.links.other.setUp()
	s.wantState(t, "nats", true, "CONNECTED")
}

// TestChecksOfAReplay: a service that has not read everything that was in the stream at
// the start is not ready.
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

// TestClosedConnection: a connection that is closed for good is an error that restarts the
// service, unless we have closed it ourselves.
func TestClosedConnection(t *testing.T) {
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
	kit.Eventually(t, func() bool { return len(s.lost) == 1 }, "the service gets the error")
	if err := <-s.lost; !errors.Is(err, errClosed) {
		t.Errorf("got %v, want errClosed", err)
	}
}
