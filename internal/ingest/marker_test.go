package ingest

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
)

// marker returns the message that a server stores itself when the last message
// of a subject is too old.
func (s *setup) marker() *nats.Msg {
	s.t.Helper()
	events := kit.CreateStream(s.t, s.js, jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"},
		MaxAge: time.Second, AllowMsgTTL: true, SubjectDeleteMarkerTTL: time.Minute, Duplicates: 100 * time.Millisecond,
	})
	if _, err := s.js.Publish(s.t.Context(), "rollcall.events.web", []byte(good)); err != nil {
		s.t.Fatal(err)
	}
	var stored *jetstream.RawStreamMsg
	kit.Eventually(s.t, func() bool {
		var err error
		stored, err = events.GetMsg(s.t.Context(), 2)
		return err == nil
	}, "the server has stored a marker")
	return &nats.Msg{Subject: stored.Subject, Header: stored.Header, Data: stored.Data}
}

// TestMarkerOfAClient: an event that a client publishes with the header of a marker
// is an event.
func TestMarkerOfAClient(t *testing.T) {
	s := newSetup(t)
	s.store()
	login, garbage := event(good), event("garbage")
	for _, m := range []*nats.Msg{login, garbage} {
		m.Header = nats.Header{headerMarker: {"MaxAge"}}
	}
	s.send(login, garbage)
	s.awaitStored()
	if st := s.roster.Status(); st.Fates != (roster.Fates{roster.Applied: 1, roster.DeadLettered: 1}) {
		t.Errorf("fates %v", st.Fates)
	}
}

// TestMarker: a marker that the server stores where messages were removed is not an
// event: it is superseded, changes nothing, and makes no dead letter.
func TestMarker(t *testing.T) {
	s := newSetup(t)
	s.store()
	marker := s.marker()
	s.send(event(good), marker)
	var heard roster.Time
	seen := func() {
		s.roster.Machine("web", func(v roster.View) { heard = v.Heard() })
	}
	seen()
	wasHeard := heard
	// Later than all others, decoded into the memory of an event.
	s.place++
	b := stream.Batch{Messages: []stream.Message{{Msg: marker, Sequence: s.place, Place: s.place, Receipt: receipt.Add(time.Hour)}}}
	b.End.Place = s.place
	s.Fold(&b)
	s.awaitStored()
	if st := s.roster.Status(); st.Fates != (roster.Fates{roster.Applied: 1, roster.Superseded: 2}) || st.Machines != 1 {
		t.Errorf("fates %v, %d machines", st.Fates, st.Machines)
	}
	if seen(); heard != wasHeard {
		t.Errorf("heard %s, before %s", heard, wasHeard)
	}
	if info, err := s.stored.Info(t.Context()); err != nil || info.State.Msgs != 0 {
		t.Errorf("%d dead letters (%v)", info.State.Msgs, err)
	}
	for reason, counter := range s.metrics.refused {
		if n := testutil.ToFloat64(counter); n != 0 {
			t.Errorf("%v refused: %s", n, reason)
		}
	}
	if n := testutil.ToFloat64(s.metrics.events[roster.Login]); n != 1 {
		t.Errorf("%v logins", n)
	}
}
