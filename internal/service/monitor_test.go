package service

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/config"
	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// newTestMonitor is a monitor with a connection that is there.
func newTestMonitor(t *testing.T, streams natsconn.Streams, js jetstream.JetStream) *monitor {
	t.Helper()
	l := new(link)
	l.conn.Store(new(nats.Conn))
	return newMonitor(streams, l, js, js, kit.Logger(t), prometheus.NewRegistry())
}

// TestOutOfSight: nothing is known of the stream while the connection is away,
// before it was seen after that, and once that was long ago.
func TestOutOfSight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := new(service), newTestMonitor(t, natsconn.Streams{}, nil)
		wantStale := func(want bool, when string) {
			t.Helper()
			if s.stale() != want {
				t.Errorf("%s: out of sight %t, want %t", when, !want, want)
			}
		}
		wantStale(true, "at the start")
		s.monitor.Store(m)
		info := &jetstream.StreamInfo{State: jetstream.StreamState{LastSeq: 9}}
		m.note(info, 0)
		wantStale(false, "seen")
		m.link.goes()
		wantStale(true, "away")
		m.link.comes()
		wantStale(true, "back, but not seen since")
		m.note(info, 0) // an answer from before
		wantStale(true, "not seen since, either")
		m.note(info, m.link.lost.Load())
		wantStale(false, "seen again")
		if text := m.unseen(); text != "" {
			t.Errorf("in sight: %s", text)
		}
		time.Sleep(freshFor)
		wantStale(true, "seen long ago")
		if text := m.unseen(); text != "OUT OF SIGHT since 2000-01-01T00:00:00Z: NATS does not answer for it" {
			t.Errorf("seen long ago: %q", text)
		}
	})
}

// TestWaiting: what the monitor has seen counts as waiting at once, but only of
// the same stream.
func TestWaiting(t *testing.T) {
	m := newTestMonitor(t, natsconn.Streams{}, nil)
	created := time.Unix(1, 0)
	at := roster.Position{Place: 5, Proof: roster.Proof{Created: roster.TimeOf(created)}}
	if n := m.waiting(at); n != 0 {
		t.Errorf("%d wait before anything was seen", n)
	}
	m.note(&jetstream.StreamInfo{Created: created, State: jetstream.StreamState{LastSeq: 9}}, 0)
	if n := m.waiting(at); n != 4 {
		t.Errorf("%d wait, want 4", n)
	}
	at.Place = 10
	if n := m.waiting(at); n != 0 {
		t.Errorf("%d wait after the last", n)
	}
	at.Place, at.Proof.Created = 5, 0
	if n := m.waiting(at); n != 0 {
		t.Errorf("%d wait of another stream", n)
	}
}

// blocked is what the metric says is in the way.
func blocked(m *monitor, reason string) float64 {
	return testutil.ToFloat64(m.obstacles.gauge.WithLabelValues(reason))
}

// TestObstacles: a server that cannot write shows, also after it can again, until
// it has stored an event or was started anew.
func TestObstacles(t *testing.T) {
	s, m := new(service), newTestMonitor(t, natsconn.Streams{Embedded: true}, nil)
	s.monitor.Store(m)
	at := func(sequence, lost uint64) {
		m.link.lost.Store(lost)
		m.note(&jetstream.StreamInfo{State: jetstream.StreamState{LastSeq: sequence}}, lost)
	}
	const well = "no risk known: a message is on the disk before its ack; one replica"
	const suspect = "its server could not write and has stored no event since: nats-server takes none until it is started anew; " + well
	full := errors.New("no space left")
	at(7, 0)
	s.wantState(t, "stream", true, well)
	for _, end := range []func(){func() { at(8, 0) }, func() { at(8, 1) }} {
		at(7, 0)
		m.obstacles.tried(nil, m.seen.Load())
		s.wantState(t, "stream", true, well)
		if m.obstacles.tried(full, m.seen.Load()) || blocked(m, diskFull) != 1 {
			t.Error("the disk is full, and not shown so")
		}
		at(7, 0)
		s.wantState(t, "stream", false, "NO SPACE: no space left; "+well)
		if !m.obstacles.tried(nil, m.seen.Load()) || m.obstacles.tried(nil, m.seen.Load()) {
			t.Error("the disk is back, which is said once")
		}
		at(7, 0)
		s.wantState(t, "stream", false, suspect)
		if blocked(m, diskFull) != 1 {
			t.Error("nothing was stored since, and that is not shown")
		}
		end()
		s.wantState(t, "stream", true, well)
		if blocked(m, diskFull) != 0 {
			t.Error("all is well, and not shown so")
		}
	}
	// Started anew before the disk was tried again.
	m.obstacles.tried(full, m.seen.Load())
	at(9, 1)
	at(9, 2)
	s.wantState(t, "stream", false, "NO SPACE: no space left; "+well)
	m.obstacles.tried(nil, m.seen.Load())
	s.wantState(t, "stream", true, well)
}

// TestFullStream: a stream that refuses what is new at its limit shows, and ends
// to when there is room.
func TestFullStream(t *testing.T) {
	s, js := new(service), kit.JetStream(t, kit.Conn(t, kit.StartServer(t).URL))
	config := jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"events"}, Discard: jetstream.DiscardNew, MaxMsgs: 2}
	if _, err := js.CreateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	m := newTestMonitor(t, natsconn.Streams{Events: "EVENTS"}, js)
	s.monitor.Store(m)
	for i, want := range []float64{0, 1} {
		if _, err := js.Publish(t.Context(), "events", nil); err != nil {
			t.Fatal(err)
		}
		if m.ask(t.Context()); blocked(m, streamFull) != want {
			t.Errorf("after %d messages: blocked %v, want %v", i+1, !(want == 1), want == 1)
		}
	}
	s.wantState(t, "stream", false, "FULL: refuses every event, as it discards new messages at its max_msgs 2; "+
		"no risk known; whether the server has a message on the disk before its ack (sync_interval: always) cannot be seen from here")
	config.MaxMsgs = 3
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if m.ask(t.Context()); blocked(m, streamFull) != 0 {
		t.Error("there is room, and that is not shown")
	}
}

// ours are streams that Prepare makes.
func ours(t *testing.T, s *service) natsconn.Streams {
	t.Helper()
	cfg, err := config.ReadServe()
	if err != nil {
		t.Fatal(err)
	}
	s.cfg = *cfg
	return s.streams()
}

// TestRemake: streams of ours that somebody deletes while the service runs are
// made anew, and that is counted.
func TestRemake(t *testing.T) {
	s, js := new(service), kit.JetStream(t, kit.Conn(t, kit.StartServer(t).URL))
	m := newTestMonitor(t, ours(t, s), js)
	if _, err := natsconn.Prepare(t.Context(), js, m.streams, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	for role, name := range map[string]string{natsconn.RoleReports: m.streams.Reports, natsconn.RoleDeadLetters: m.streams.DeadLetters} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		m.remake(t.Context())
		if _, err := js.Stream(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		made := testutil.ToFloat64(m.absent.made.WithLabelValues(role))
		if missing := testutil.ToFloat64(m.absent.gauge.WithLabelValues(role)); made != 1 || missing != 0 {
			t.Errorf("%s: made %v times, missing %v", name, made, missing)
		}
	}
	state := m.absent.state(natsconn.RoleReports)
	if !strings.HasPrefix(state, "the stream was deleted, and made anew at ") {
		t.Errorf("made anew a moment ago: %q", state)
	}
	m.absent.anew.Store(natsconn.RoleReports, time.Now().Add(-toldFor))
	if state := m.absent.state(natsconn.RoleReports); state != "" {
		t.Errorf("made anew long ago: %q", state)
	}
	// That of events is the reader's to make.
	if err := js.DeleteStream(t.Context(), m.streams.Events); err != nil {
		t.Fatal(err)
	}
	m.remake(t.Context())
	if _, err := js.Stream(t.Context(), m.streams.Events); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream of events was made: %v", err)
	}
	if testutil.ToFloat64(m.absent.gauge.WithLabelValues(natsconn.RoleEvents)) != 1 {
		t.Error("the stream of events is missing, and that is not shown")
	}
}

// TestCannotRemake: a stream that cannot be made stays shown as missing.
func TestCannotRemake(t *testing.T) {
	s, js := new(service), kit.JetStream(t, kit.Conn(t, kit.StartServer(t).URL))
	m := newTestMonitor(t, ours(t, s), js)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "TAKEN", Subjects: []string{"rollcall.reports"}}); err != nil {
		t.Fatal(err)
	}
	m.remake(t.Context())
	made := testutil.ToFloat64(m.absent.made.WithLabelValues(natsconn.RoleReports))
	if missing := testutil.ToFloat64(m.absent.gauge.WithLabelValues(natsconn.RoleReports)); made != 0 || missing != 1 {
		t.Errorf("made %v times, missing %v", made, missing)
	}
}

// TestMissingOnce: a stream that is missing in one answer only was never gone:
// it comes while the second is waited for.
func TestMissingOnce(t *testing.T) {
	s, js := new(service), kit.JetStream(t, kit.Conn(t, kit.StartServer(t).URL))
	m := newTestMonitor(t, ours(t, s), js)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	seen, err := m.streams.Missing(ctx, js)
	if err != nil || len(seen) != 3 {
		t.Fatalf("missing %v, %v", seen, err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.remake(ctx)
	}()
	if _, err := natsconn.Prepare(ctx, js, m.streams, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	<-ended
	for _, role := range upkept {
		if made := testutil.ToFloat64(m.absent.made.WithLabelValues(role)); made != 0 {
			t.Errorf("%s was made %v times", role, made)
		}
	}
}
