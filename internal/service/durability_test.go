package service

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestRisks: the check, which never decides, and the metric show how the stream may lose
// messages, and follow changes of its configuration.
func TestRisks(t *testing.T) {
	s := new(service)
	s.wantState(t, "stream", false, "starting")
	js := kit.JetStream(t, kit.Conn(t, kit.StartServer(t).URL))
	config := jetstream.StreamConfig{Name: "EVENTS", Subjects: []string{"base.events", "base.events.>"}, Duplicates: 2 * time.Minute}
	made, err := js.CreateStream(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	subjects, err := rollcallv1.NewSubjects("base")
	if err != nil {
		t.Fatal(err)
	}
	streams := natsconn.Streams{Subjects: subjects, Events: "EVENTS", Reports: "REPORTS", DeadLetters: "LETTERS"}
	var log kit.Output
	m := newTestMonitor(t, streams, js)
	r := m.durability
	r.log = slog.New(slog.NewTextHandler(&log, nil))
	r.record(made.CachedInfo())
	m.record(made.CachedInfo(), 0)
	s.monitor.Store(m)
	value := func(reason string) float64 { return testutil.ToFloat64(r.gauge.WithLabelValues(reason)) }
	s.wantState(t, "stream", false, "has one replica: it is lost with its server's disk; "+
		"drops an event, yet acknowledges it, if any machine used its Nats-Msg-Id within the duplicate window, duplicate_window 2m0s")
	if value("one_replica") != 1 || value("long_duplicate_window") != 1 || value("memory_storage") != 0 {
		t.Error("the metric does not show the risks")
	}
	for _, check := range s.checks() {
		if check.Name == "stream" && check.Decides {
			t.Error("a risk makes the service unready")
		}
	}

	config.Duplicates = 100 * time.Millisecond
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	r.poll(t.Context())
	s.wantState(t, "stream", false, "has one replica: it is lost with its server's disk")
	if value("one_replica") != 1 || value("long_duplicate_window") != 0 {
		t.Error("the metric does not follow the stream")
	}
	if !log.Has(`level=INFO msg="stream risk resolved" stream=EVENTS reason=long_duplicate_window`) {
		t.Errorf("the log says\n%s", log.String())
	}

	config.AllowRollup = true
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	log.Drain()
	r.poll(t.Context())
	r.poll(t.Context())
	if holds, state := r.state(); holds || !strings.HasPrefix(state, "is no longer usable: rollcall would refuse to start with it: stream EVENTS: allow_rollup_hdrs is true: ") {
		t.Error(holds, state)
	}
	if value("cannot_serve") != 1 {
		t.Error("the metric does not show that the stream is unusable")
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, `level=ERROR msg="stream is no longer usable: rollcall would refuse to start with it" err="stream EVENTS: allow_rollup_hdrs`) {
		t.Errorf("the log says\n%s", text)
	}
}

// TestNoRisks: the check says what it cannot see.
func TestNoRisks(t *testing.T) {
	for embedded, text := range map[bool]string{
		true:  "no risk known: messages are fsynced before they are acknowledged; one replica",
		false: "no risk known; whether the server fsyncs messages before it acknowledges them (sync_interval: always) is not visible to clients",
	} {
		s, m := new(service), newTestMonitor(t, natsconn.Streams{Embedded: embedded}, nil)
		info := &jetstream.StreamInfo{Config: jetstream.StreamConfig{Replicas: 3}}
		m.durability.record(info)
		m.record(info, 0)
		s.monitor.Store(m)
		s.wantState(t, "stream", true, text)
	}
}
