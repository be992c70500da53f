package kit

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Systemd receives what the service sends to its manager.
type Systemd struct {
	t    *testing.T
	conn *net.UnixConn
}

// UnderSystemd makes this process look as if systemd had started it.
func UnderSystemd(t *testing.T, watchdog time.Duration) *Systemd {
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
	return &Systemd{t, conn}
}

// Path is the path of its socket.
func (m *Systemd) Path() string { return m.conn.LocalAddr().String() }

// Hears returns the messages that arrive within a time, up to the first that
// contains the text.
func (m *Systemd) Hears(text string, within time.Duration) (all []string, heard bool) {
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

// Wants waits for a message that contains the text, and returns all up to that one.
func (m *Systemd) Wants(text string) []string {
	m.t.Helper()
	all, heard := m.Hears(text, 30*time.Second)
	if !heard {
		m.t.Fatalf("systemd does not hear %q, but %q", text, all)
	}
	return all
}
