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
	"rollcall/internal/httpd"
	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// newTestMonitor returns a monitor whose connection is up.
func newTestMonitor(t *testing.T, streams natsconn.Streams, js jetstream.JetStream) *monitor {
	t.Helper()
	l := new(link)
	l.conn.Store(new(nats.Conn))
	return newMonitor(streams, l, js, js, kit.Logger(t), prometheus.NewRegistry())
}

// TestStale: the state of the stream is unknown while the connection is down, until the
// stream was seen after that, and once it has not been seen for long.
func TestStale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, m := new(service), newTestMonitor(t, natsconn.Streams{}, nil)
		wantStale := func(want bool, when string) {
			t.Helper()
			if s.stale() != want {
				t.Errorf("%s: stale %t, want %t", when, !want, want)
			}
		}
		wantStale(true, "at the start")
		s.monitor.Store(m)
		info := &jetstream.StreamInfo{State: jetstream.StreamState{LastSeq: 9}}
		m.record(info, 0)
		wantStale(false, "seen")
		m.link.setDown()
		wantStale(true, "disconnected")
		m.link.setUp()
		wantStale(true, "reconnected, but not seen since")
		m.record(info, 0) // an answer from before the outage
		wantStale(true, "still not seen since")
		m.record(info, m.link.lost.Load())
		wantStale(false, "seen again")
		if text := m.notSeen(); text != "" {
			t.Errorf("just seen: %s", text)
		}
		time.Sleep(freshFor)
		wantStale(true, "seen long ago")
		if text := m.notSeen(); text != "UNKNOWN since 2000-01-01T00:00:00Z: NATS does not answer requests about it" {
			t.Errorf("seen long ago: %q", text)
		}
	})
}

// TestWaiting: messages that the monitor has seen in the same stream count as waiting at
// once.
func TestWaiting(t *testing.T) {
	m := newTestMonitor(t, natsconn.Streams{}, nil)
	created := time.Unix(1, 0)
	at := roster.Position{Place: 5, Proof: roster.Proof{Created: roster.TimeOf(created)}}
	if n := m.waiting(at); n != 0 {
		t.Errorf("%d wait before anything was seen", n)
	}
	m.record(&jetstream.StreamInfo{Created: created, State: jetstream.StreamState{LastSeq: 9}}, 0)
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

// blocked returns the metric of an obstacle.
func blocked(m *monitor, reason string) float64 {
	return testutil.ToFloat64(m.obstacles.gauge.WithLabelValues(reason))
}

// TestObstacles: the check shows a server that cannot write, and keeps showing it until
// the server has stored an event or was restarted.
func TestObstacles(t *testing.T) {
	s, m := new(service), newTestMonitor(t, natsconn.Streams{Embedded: true}, nil)
	s.monitor.Store(m)
	at := func(sequence, lost uint64) {
		m.link.lost.Store(lost)
		m.record(&jetstream.StreamInfo{State: jetstream.StreamState{LastSeq: sequence}}, lost)
	}
	const well = "no risk known: messages are fsynced before they are acknowledged; one replica"
	const suspect = "its server could not write and has stored no event since: nats-server accepts none until it is restarted; " + well
	full := errors.New("no space left")
	at(7, 0)
	s.wantState(t, "stream", true, well)
	for _, end := range []func(){func() { at(8, 0) }, func() { at(8, 1) }} {
		at(7, 0)
		m.obstacles.recordProbe(nil, m.seen.Load())
		s.wantState(t, "stream", true, well)
		if m.obstacles.recordProbe(full, m.seen.Load()) || blocked(m, diskFull) != 1 {
			t.Error("the disk is full, and that is not shown")
		}
		at(7, 0)
		s.wantState(t, "stream", false, "NO SPACE: no space left; "+well)
		if !m.obstacles.recordProbe(nil, m.seen.Load()) || m.obstacles.recordProbe(nil, m.seen.Load()) {
			t.Error("a writable disk must be reported exactly once")
		}
		at(7, 0)
		s.wantState(t, "stream", false, suspect)
		if blocked(m, diskFull) != 1 {
			t.Error("nothing was stored since, and that is not shown")
		}
		end()
		s.wantState(t, "stream", true, well)
		if blocked(m, diskFull) != 0 {
			t.Error("all is well, and that is not shown")
		}
	}
	// Restarted before the disk was probed again.
	m.obstacles.recordProbe(full, m.seen.Load())
	at(9, 1)
	at(9, 2)
	s.wantState(t, "stream", false, "NO SPACE: no space left; "+well)
	m.obstacles.recordProbe(nil, m.seen.Load())
	s.wantState(t, "stream", true, well)
}

// TestFullStream: the check shows a stream that rejects new messages at its limit, until
// it has space again.
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
		if m.poll(t.Context()); blocked(m, streamFull) != want {
			t.Errorf("after %d messages: blocked %v, want %v", i+1, !(want == 1), want == 1)
		}
	}
	s.wantState(t, "stream", false, "FULL: rejects every event, as it discards new messages at its max_msgs 2; "+
		"no risk known; whether the server fsyncs messages before it acknowledges them (sync_interval: always) is not visible to clients")
	config.MaxMsgs = 3
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	if m.poll(t.Context()); blocked(m, streamFull) != 0 {
		t.Error("there is space, and that is not shown")
	}
}

// ours returns the streams that Prepare creates.
func ours(t *testing.T, s *service) natsconn.Streams {
	t.Helper()
	cfg, err := config.ReadServe(httpd.CheckWebConfig)
	if err != nil {
		t.Fatal(err)
	}
	s.cfg = *cfg
	return s.streams()
}

// TestRecreate: streams of ours that somebody deletes while the service runs are
// recreated, and that is counted.
func TestRecreate(t *testing.T) {
	s, js := new(service), kit.JetStream(t, kit.Conn(t, kit.StartServer(t).URL))
	m := newTestMonitor(t, ours(t, s), js)
	if _, err := natsconn.Prepare(t.Context(), js, m.streams, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	for role, name := range map[string]string{natsconn.RoleReports: m.streams.Reports, natsconn.RoleDeadLetters: m.streams.DeadLetters} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		m.recreateMissing(t.Context())
		if _, err := js.Stream(t.Context(), name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		made := testutil.ToFloat64(m.missing.recreated.WithLabelValues(role))
		if missing := testutil.ToFloat64(m.missing.gauge.WithLabelValues(role)); made != 1 || missing != 0 {
			t.Errorf("%s: recreated %v times, missing %v", name, made, missing)
		}
	}
	state := m.missing.state(natsconn.RoleReports)
	if !strings.HasPrefix(state, "the stream was deleted, and recreated at ") {
		t.Errorf("just recreated: %q", state)
	}
	m.missing.recreatedAt.Store(natsconn.RoleReports, time.Now().Add(-recentFor))
	if state := m.missing.state(natsconn.RoleReports); state != "" {
		t.Errorf("recreated long ago: %q", state)
	}
	// The stream of events is left to the reader.
	if err := js.DeleteStream(t.Context(), m.streams.Events); err != nil {
		t.Fatal(err)
	}
	m.recreateMissing(t.Context())
	if _, err := js.Stream(t.Context(), m.streams.Events); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream of events was recreated: %v", err)
	}
	if testutil.ToFloat64(m.missing.gauge.WithLabelValues(natsconn.RoleEvents)) != 1 {
		t.Error("the stream of events is missing, and that is not shown")
	}
}

// TestCannotRecreate: a stream that cannot be recreated is still shown as missing.
func TestCannotRecreate(t *testing.T) {
	s, js := new(service), kit.JetStream(t, kit.Conn(t, kit.StartServer(t).URL))
	m := newTestMonitor(t, ours(t, s), js)
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "TAKEN", Subjects: []string{"rollcall.reports"}}); err != nil {
		t.Fatal(err)
	}
	m.recreateMissing(t.Context())
	made := testutil.ToFloat64(m.missing.recreated.WithLabelValues(natsconn.RoleReports))
	if missing := testutil.ToFloat64(m.missing.gauge.WithLabelValues(natsconn.RoleReports)); made != 0 || missing != 1 {
		t.Errorf("recreated %v times, missing %v", made, missing)
	}
}

// TestMissingOnce: a stream that is missing in one answer only is not recreated: here it
// is created before the second request.
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
		m.recreateMissing(ctx)
	}()
	if _, err := natsconn.Prepare(ctx, js, m.streams, kit.Logger(t)); err != nil {
		t.Fatal(err)
	}
	<-ended
	for _, role := range recreatedRoles {
		if made := testutil.ToFloat64(m.missing.recreated.WithLabelValues(role)); made != 0 {
			t.Errorf("%s was recreated %v times", role, made)
		}
	}
}
