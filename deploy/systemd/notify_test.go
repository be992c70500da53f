package systemd

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"rollcall/deploy/internal/program"
)

// manager receives notifications in place of systemd.
type manager struct {
	path string

	mu    sync.Mutex
	lines []string
}

func listen(t *testing.T) *manager {
	t.Helper()
	m := &manager{path: filepath.Join(t.TempDir(), "notify")}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: m.path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			m.mu.Lock()
			m.lines = append(m.lines, strings.Split(string(b[:n]), "\n")...)
			m.mu.Unlock()
		}
	}()
	return m
}

// first returns the index of the first line with a prefix, and the line, or -1.
func (m *manager) first(prefix string) (int, string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := slices.IndexFunc(m.lines, func(line string) bool { return strings.HasPrefix(line, prefix) })
	if at < 0 {
		return -1, ""
	}
	return at, m.lines[at]
}

func (m *manager) await(t *testing.T, prefix string) {
	t.Helper()
	program.Eventually(t, "systemd receives "+prefix, func() bool {
		at, _ := m.first(prefix)
		return at >= 0
	})
}

// narrow forwards connections to a server, whose answers it forwards slowly until widen is
// called.
func narrow(t *testing.T, server string) (addr string, widen func()) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	wide := make(chan struct{})
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			upstream, err := net.Dial("tcp", server)
			if err != nil {
				client.Close()
				continue
			}
			go func() {
				_, _ = io.Copy(upstream, client)
				upstream.Close()
			}()
			go func() {
				drip(client, upstream, wide)
				client.Close()
			}()
		}
	}()
	return l.Addr().String(), sync.OnceFunc(func() { close(wide) })
}

// drip copies at most 400 kB a second until wide is closed, then at full speed.
func drip(to io.Writer, from io.Reader, wide <-chan struct{}) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	b := make([]byte, 4096)
	for {
		select {
		case <-wide:
			_, _ = io.Copy(to, from)
			return
		case <-tick.C:
		}
		n, err := from.Read(b)
		if err != nil {
			return
		}
		if _, err := to.Write(b[:n]); err != nil {
			return
		}
	}
}

// publish publishes a number of events.
func publish(t *testing.T, server string, events int) {
	t.Helper()
	var lines bytes.Buffer
	for i := range events {
		fmt.Fprintf(&lines, `{"date":"2026-11-22T21:00:00Z","type":"login","machine":"m%d","user":"lane"}`+"\n", i%100)
	}
	cmd := exec.Command(program.Rollcall(t), "publish")
	cmd.Env = []string{"NATS_URL=" + server}
	cmd.Stdin = &lines
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// TestNotify: the service notifies systemd that it is ready before it has caught up, of its
// progress, that it is alive, and that it stops.
func TestNotify(t *testing.T) {
	dir := t.TempDir()
	server := program.Serve(t, "ROLLCALL_DATA_DIR="+dir)
	publish(t, server.NATS, 20_000)
	addr, widen := narrow(t, strings.TrimPrefix(server.NATS, "nats://"))
	defer widen()
	m := listen(t)
	p := program.Start(t, []string{
		"NATS_URL=nats://" + addr, "NATS_NKEY=" + filepath.Join(dir, "nats", "admin.nk"), "ROLLCALL_DATA_DIR=" + t.TempDir(), "ROLLCALL_HTTP_ADDR=127.0.0.1:0",
		"NOTIFY_SOCKET=" + m.path, "WATCHDOG_USEC=200000",
	}, program.Rollcall(t), "serve")

	m.await(t, "READY=1")
	m.await(t, "STATUS=replaying: message ")
	if strings.Contains(p.Log(), `"msg":"ready"`) {
		t.Error("it caught up before it reported its progress")
	}
	widen()
	p.AwaitLog(`"msg":"ready"`)
	m.await(t, "STATUS=at place 20000, 0 messages behind")
	m.await(t, "WATCHDOG=1")
	p.Signal(syscall.SIGTERM)
	if err := p.Wait(); err != nil {
		t.Error(err)
	}
	m.await(t, "STOPPING=1")
	ready, _ := m.first("READY=1")
	replaying, status := m.first("STATUS=replaying")
	if stopping, _ := m.first("STOPPING=1"); ready > replaying || replaying > stopping {
		t.Errorf("systemd received, in this order: %q", m.lines)
	}
	if !strings.HasSuffix(status, " of 20000") {
		t.Errorf("the status is %q", status)
	}
}

// TestWithoutSystemd: the log does not mention systemd.
func TestWithoutSystemd(t *testing.T) {
	if said := program.Serve(t).Log(); strings.Contains(said, "systemd") {
		t.Error(said)
	}
}
