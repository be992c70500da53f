package service

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/roster"
	"rollcall/internal/sdnotify"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
)

// startService runs the service in this process until the test ends or end is called,
// and returns its notifier.
func startService(t *testing.T, set map[string]string) (n *notifier, end func()) {
	t.Helper()
	set["ROLLCALL_DATA_DIR"], set["ROLLCALL_HTTP_ADDR"], set["ROLLCALL_EMBEDDED_ADDR"] = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0"
	set["ROLLCALL_PAGE_ADDR"] = "127.0.0.1:0"
	kit.Environment(t, set)
	cfg, err := config.ReadServe(httpd.CheckWebConfig)
	if err != nil {
		t.Fatal(err)
	}
	log := kit.Logger(t)
	n = &notifier{log: log}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- runService(ctx, *cfg, Build{}, log, n) }()
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
	return n, end
}

// TestStuckFold: while the fold waits for a lock that is never released, the watchdog gets
// no pings.
func TestStuckFold(t *testing.T) {
	const watchdog = 100 * time.Millisecond
	m := kit.UnderSystemd(t, watchdog)
	n, end := startService(t, map[string]string{})
	m.Await("READY=1")
	s := n.service.Load()
	kit.PublishLogins(t, kit.JetStream(t, kit.Conn(t, s.embedded.URL())), 1)
	kit.Eventually(t, func() bool { return s.roster.Status().Position.Place == 1 }, "the event is folded")
	m.Await("WATCHDOG=1")

	held, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // before the end, which waits for the fold
	go s.roster.Machine("m0", func(roster.View) { close(held); <-released })
	<-held
	kit.PublishLogins(t, kit.JetStream(t, kit.Conn(t, s.embedded.URL())), 1)
	kit.Eventually(t, func() bool { return !s.watchdog.alive(watchdog) }, "the fold is stuck")
	m.Receive("none of this", watchdog) // pings in flight
	if all, heard := m.Receive("WATCHDOG=1", 5*watchdog); heard {
		t.Errorf("pings for a stuck fold: %q", all)
	}
	release()
	m.Await("WATCHDOG=1")
	end()
	m.Await("STOPPING=1")
}

// TestReadyWithoutNATS: a server that is down does not delay the unit, and shows in its
// status.
func TestReadyWithoutNATS(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	_, end := startService(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1"})
	before := m.Await("READY=1")
	if !slices.ContainsFunc(before, func(said string) bool { return strings.HasPrefix(said, "STATUS=waiting: connecting to NATS at ") }) {
		t.Errorf("systemd received %q", before)
	}
	end()
	m.Await("STOPPING=1")
}

// TestStopsAtOnce: STOPPING=1 is also sent when the service ends at once.
func TestStopsAtOnce(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	done, cancel := context.WithCancel(t.Context())
	cancel()
	for range 20 {
		(&notifier{log: kit.Logger(t)}).run(done, done)
		m.Await("STOPPING=1")
	}
}

// TestManagerThatDoesNotRead: a systemd that does not read delays neither the start nor the
// end.
func TestManagerThatDoesNotRead(t *testing.T) {
	kit.UnderSystemd(t, 0)
	full := func() bool { return sdnotify.Send(strings.Repeat("x", 1024)) != nil }
	kit.Eventually(t, full, "the socket buffer is full")
	n, end := startService(t, map[string]string{})
	kit.Eventually(t, func() bool {
		s := n.service.Load()
		return s != nil && s.caughtUp.Load() != nil && s.caughtUp.Load().CaughtUp()
	}, "the service has caught up")
	end()
}

// TestReadyOnce: READY=1 is sent once, even if the service restarts.
func TestReadyOnce(t *testing.T) {
	m := kit.UnderSystemd(t, 0)
	n := &notifier{log: kit.Logger(t)}
	n.notifyReady()
	n.notifyReady()
	m.Await("READY=1")
	if all, _ := m.Receive("READY=1", 50*time.Millisecond); all != nil {
		t.Errorf("systemd received %q again", all)
	}
}

// TestWatchdogAlive: the fold is alive while a batch is within its time limit, and always
// between batches.
func TestWatchdogAlive(t *testing.T) {
	var w watchdog
	if !w.alive(0) {
		t.Error("not alive without a batch")
	}
	w.watch(func(*stream.Batch) {
		if !w.alive(time.Hour) || w.alive(0) {
			t.Error("within a batch")
		}
	})(new(stream.Batch))
	if !w.alive(0) {
		t.Error("after a batch")
	}
}
