package main

import (
	"context"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
)

// systemd hears what the service says, as its manager would.
type systemd struct {
	t    *testing.T
	conn *net.UnixConn
}

// underSystemd makes this process one that systemd has started.
func underSystemd(t *testing.T, watchdog time.Duration) *systemd {
	t.Helper()
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "")
	if watchdog > 0 {
		t.Setenv("WATCHDOG_USEC", strconv.FormatInt(watchdog.Microseconds(), 10))
	}
	return &systemd{t, conn}
}

// path is where it listens.
func (m *systemd) path() string { return m.conn.LocalAddr().String() }

// hears returns what comes within a time, up to the first message that has the
// text.
func (m *systemd) hears(text string, within time.Duration) (all []string, heard bool) {
	m.t.Helper()
	if err := m.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		m.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := m.conn.Read(b)
		if err != nil {
			return all, false
		}
		all = append(all, string(b[:n]))
		if strings.Contains(string(b[:n]), text) {
			return all, true
		}
	}
}

// want waits for a message and returns those before it too.
func (m *systemd) want(text string) []string {
	m.t.Helper()
	all, heard := m.hears(text, 30*time.Second)
	if !heard {
		m.t.Fatalf("systemd does not hear %q, but %q", text, all)
	}
	return all
}

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
	go func() { served <- runService(ctx, *cfg, log, tell) }()
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
	m := underSystemd(t, watchdog)
	tell, end := inThisProcess(t, map[string]string{})
	m.want("READY=1")
	s := tell.service.Load()
	publishLogins(t, kit.JetStream(t, kit.Conn(t, s.embedded.URL())), 1)
	kit.Eventually(t, func() bool { return s.roster.Status().Position.Place == 1 }, "the event is folded")
	m.want("WATCHDOG=1")

	held, released := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(released) })
	t.Cleanup(release) // before the end, which waits for the fold
	go s.roster.Machine("m0", func(roster.View) { close(held); <-released })
	<-held
	publishLogins(t, kit.JetStream(t, kit.Conn(t, s.embedded.URL())), 1)
	kit.Eventually(t, func() bool { return !s.pulse.beats(watchdog) }, "the fold is stuck")
	m.hears("none of this", watchdog) // what was under way
	if all, heard := m.hears("WATCHDOG=1", 5*watchdog); heard {
		t.Errorf("a stuck fold is alive: %q", all)
	}
	release()
	m.want("WATCHDOG=1")
	end()
	m.want("STOPPING=1")
}

// TestReadyWithoutNATS: a server that is away does not hold up the unit, and
// shows in its status.
func TestReadyWithoutNATS(t *testing.T) {
	m := underSystemd(t, 0)
	_, end := inThisProcess(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1"})
	before := m.want("READY=1")
	if !slices.ContainsFunc(before, func(said string) bool { return strings.HasPrefix(said, "STATUS=waiting: connecting to NATS at ") }) {
		t.Errorf("systemd hears %q", before)
	}
	end()
	m.want("STOPPING=1")
}

// TestManagerThatDoesNotRead: it holds up neither the start nor the end.
func TestManagerThatDoesNotRead(t *testing.T) {
	m := underSystemd(t, 0)
	full := func() bool { return send(m.conn.LocalAddr().String(), strings.Repeat("x", 1024)) != nil }
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
	m := underSystemd(t, 0)
	tell := &notifier{log: kit.Logger(t)}
	tell.serving()
	tell.serving()
	m.want("READY=1")
	if all, _ := m.hears("READY=1", 50*time.Millisecond); all != nil {
		t.Errorf("systemd hears %q again", all)
	}
}

// TestPulse: within a batch the fold beats for as long as it may take, between
// two always.
func TestPulse(t *testing.T) {
	var p pulse
	if !p.beats(0) {
		t.Error("no batch, no pulse")
	}
	p.of(func(*stream.Batch) {
		if !p.beats(time.Hour) || p.beats(0) {
			t.Error("within a batch")
		}
	})(new(stream.Batch))
	if !p.beats(0) {
		t.Error("after a batch")
	}
}
