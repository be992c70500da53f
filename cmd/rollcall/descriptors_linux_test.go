package main

import (
	"net"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"rollcall/internal/test/kit"
)

// TestIdleHTTP: idle connections prevent neither snapshots from being saved nor health
// checks from being answered.
func TestIdleHTTP(t *testing.T) {
	const descriptors, connections = 256, 300
	server, js := newEventsStream(t)
	p := serve(t, t.TempDir(), "NATS_URL="+server.URL)
	limit := unix.Rlimit{Cur: descriptors, Max: descriptors}
	if err := unix.Prlimit(p.cmd.Process.Pid, unix.RLIMIT_NOFILE, &limit, nil); err != nil {
		t.Fatal(err)
	}
	address := strings.TrimSuffix(strings.TrimPrefix(p.metrics, "http://"), "/metrics")
	for range connections {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	kit.PublishLogins(t, js, 3)
	began := time.Now()
	if got := p.get("http://" + address + "/livez"); got != "ok\n" {
		t.Errorf("/livez says %q", got)
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("/livez took %v", took)
	}
	kit.Eventually(t, func() bool { return p.metric("rollcall_position") == "3" }, "the events are read")
	p.digest(3)
	if got := p.metric("rollcall_snapshot_errors_total"); got != "0" {
		t.Errorf("%s snapshots failed", got)
	}
}
