package service

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
)

// inThisProcess runs the service until the test ends or end is called, and
// returns what tells of it.
func inThisProcess(t *testing.T, set map[string]string) (tell *notifier, end func()) {
	t.Helper()
	set["ROLLCALL_DATA_DIR"], set["ROLLCALL_HTTP_ADDR"], set["ROLLCALL_EMBEDDED_ADDR"] = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	kit.Environment(t, set)
	cfg, err := config.ReadServe()
	if err != nil {
		t.Fatal(err)
	}
	log := kit.Logger(t)
	tell = &notifier{log: log}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- runService(ctx, *cfg, Build{}, log, tell) }()
	ended := false
	end = func() {
		if cancel(); ended {
			return
		}
		ended = true
		if err := <-served; err != nil {
			t.Error(err)
		}
	}
	t.Cleanup(end)
	return tell, end
}

// TestStuckFoldIsNotPingedFor: while the fold waits for a lock that nobody gives
// back, the watchdog is not told that the service is alive.
func TestStuckFoldIsNotPingedFor(t *testing.T) {
	const watchdog = 100 * time.Millisecond
	m := kit.UnderSystemd(t, watchdog)
	tell, end := inThisProcess(t, map[string]string{})
	m.Wants("READY=1")
	s := tell.service.Load()
	kit.PublishLogins(t, kit.JetStream(t, kit.Conn(t, s.embedded.URL())), 1)
	kit.Eventually(t, func() bool { return s.roster.Status().Position.Place == 1 }, "the event is folded")
	m.Wants("WATCHDOG=1")

	held, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // before the end, which waits for the fold
	go s.roster.Machine("m0", func(roster.View) { close(held); <-released })
	<-held
	kit.PublishLogins(t, kit.JetStream(t, kit.Conn(t, s.embedded.URL())), 1)
	kit.Eventually(t, func() bool { return !s.watchdog.alive(watchdog) }, "the fold is stuck")
	m.Hears("none of this", watchdog) // what was under way
	if all, heard := m.Hears("WATCHDOG=1", 5*watchdog); heard {
		t.Errorf("a stuck fold is alive: %q", all)
	}
	release()
	m.Wants("WATCHDOG=1")
	end()
	m.Wants("STOPPING=1")
}

// TestReadyWithoutNATS: a server that is away does not hold up the unit, and
// shows in its status.
func TestReadyWithoutNATS(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	_, end := inThisProcess(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1"})
	before := m.Wants("READY=1")
	if !slices.ContainsFunc(before, func(said string) bool { return strings.HasPrefix(said, "STATUS=waiting: connecting to NATS at ") }) {
		t.Errorf("systemd hears %q", before)
	}
	end()
	m.Wants("STOPPING=1")
}

// TestStopsAtOnce: systemd hears of the end of a service that has nothing to end.
func TestStopsAtOnce(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		(&notifier{log: kit.Logger(t)}).run(done, done)
		m.Wants("STOPPING=1")
	}
}

// TestManagerThatDoesNotRead: it holds up neither the start nor the end.
func TestManagerThatDoesNotRead(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	full := func() bool { return send(m.Path(), strings.Repeat("x", 1024)) != nil }
	kit.Eventually(t, full, "no message has room any more")
	tell, end := inThisProcess(t, map[string]string{})
	kit.Eventually(t, func() bool {
		s := tell.service.Load()
		return s != nil && s.caughtUp.Load() != nil && s.caughtUp.Load().CaughtUp()
	}, "the service has caught up")
	end()
}

// TestReadyOnce: also when the service begins anew.
func TestReadyOnce(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	tell := &notifier{log: kit.Logger(t)}
	tell.serving()
	tell.serving()
	m.Wants("READY=1")
	if all, _ := m.Hears("READY=1", 50*time.Millisecond); all != nil {
		t.Errorf("systemd hears %q again", all)
	}
}

// TestPulse: within a batch the fold beats for as long as it may take, between
// two always.
func TestPulse(t *testing.T) {
	var p watchdog
	if !p.alive(0) {
		t.Error("no batch, no pulse")
	}
	p.watch(func(*stream.Batch) {
		if !p.alive(time.Hour) || p.alive(0) {
			t.Error("within a batch")
		}
	})(new(stream.Batch))
	if !p.alive(0) {
		t.Error("after a batch")
	}
}
