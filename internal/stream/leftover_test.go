package stream

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// consumers returns the names of the stream's consumers.
func (s *setup) consumers() (names []string) {
	s.t.Helper()
	list := s.stream.ListConsumers(s.t.Context())
	for c := range list.Info() {
		names = append(names, c.Name)
	}
	return names
}

// crash ends a reader as a crash does: its consumer stays.
func (r *run) crash() {
	r.source.(*jetStream).nc.Close()
	kit.Eventually(r.t, func() bool { return len(r.done) == 1 }, "reading ends")
	r.end() //nolint:errcheck // the connection was closed
}

// TestLeftoverConsumer: on a stream that allows one consumer, neither a start after a
// crash nor a reader that recreates its consumer waits for the old one to expire. At
// the end there is none.
func TestLeftoverConsumer(t *testing.T) {
	s := newSetup(t, func(c *jetstream.StreamConfig) { c.MaxConsumers = 1 })
	s.id = "0123456789abcdef"
	s.publish(1, 3)
	r := s.read(roster.Position{})
	r.await("message 3")
	r.crash()
	if names := s.consumers(); !slices.Equal(names, []string{"rollcall-" + s.id}) {
		t.Fatalf("consumers are %v", names)
	}
	began := time.Now()
	r = s.read(roster.Position{})
	r.await("message 3")
	if err := r.source.reconnect(); err != nil {
		t.Fatal(err)
	}
	s.publish(4, 4)
	r.await("message 4")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("it took %v", took)
	}
	if _, err := r.end(); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return len(s.consumers()) == 0 }, "the consumer is gone after the end")
}

// TestUndeletableConsumer: if the old consumer can't be deleted, reading begins with
// one of another name, not with the old one, which has delivered messages already.
func TestUndeletableConsumer(t *testing.T) {
	s := &setup{t: t, id: "0123456789abcdef"}
	s.Server = kit.StartServer(t, func(o *server.Options) {
		deny := &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"$JS.API.CONSUMER.DELETE.>"}}}
		o.Users = []*server.User{{Username: "any", Permissions: deny}}
		o.NoAuthUser = "any"
	})
	s.js = kit.JetStream(t, kit.Conn(t, s.URL))
	s.create()
	s.publish(1, 3)
	r := s.read(roster.Position{})
	r.await("message 3")
	r.crash()
	r = s.read(roster.Position{})
	r.await("message 3")
	r.wantMessages(upTo(3)...)
	if names := s.consumers(); len(names) != 2 {
		t.Errorf("consumers are %v", names)
	}
}
