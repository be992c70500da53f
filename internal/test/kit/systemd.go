package kit

import (
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Systemd is a fake systemd: it receives the notifications of the service.
type Systemd struct {
	t    *testing.T
	conn *net.UnixConn
}

// UnderSystemd sets the variables that systemd sets for a service it starts. A
// watchdog of 0 is none.
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

// Path returns the path of its socket.
func (s *Systemd) Path() string { return s.conn.LocalAddr().String() }

// Receive returns the messages that arrive within a time, up to the first that
// contains the text, and whether one does.
func (s *Systemd) Receive(text string, within time.Duration) (all []string, found bool) {
	s.t.Helper()
	if err := s.conn.SetReadDeadline(time.Now().Add(within)); err != nil {
		s.t.Fatal(err)
	}
	b := make([]byte, 4096)
	for {
		n, err := s.conn.Read(b)
		if err != nil {
			return all, false
		}
		all = append(all, string(b[:n]))
		if strings.Contains(string(b[:n]), text) {
			return all, true
		}
	}
}

// Await waits for a message that contains the text, and returns all messages up to it.
func (s *Systemd) Await(text string) []string {
	s.t.Helper()
	all, found := s.Receive(text, 30*time.Second)
	if !found {
		s.t.Fatalf("systemd received %q, want %q", all, text)
	}
	return all
}
