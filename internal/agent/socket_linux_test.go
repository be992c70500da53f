package agent

import (
	"bufio"
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
)

// newTestAgent returns an agent with a spool in a folder, which makes no events by itself.
func newTestAgent(t *testing.T, dir string) *Agent {
	a := &Agent{
		Config: Config{Machine: "web1", Every: 15 * time.Minute, Subjects: testSubjects(t), Dir: dir, Spool: openSpool(t, dir), Log: kit.Logger(t)},
		clock:  systemClock{}, decoder: wire.NewDecoder(testSubjects(t)), tells: make(chan tell),
		sessions: sessions{machine: &recorded{}, held: map[string]held{}},
	}
	var err error
	if a.told, err = loadTold(dir); err != nil {
		t.Fatal(err)
	}
	return a
}

// serveSocket answers on a socket until the test ends.
func serveSocket(t *testing.T, a *Agent) (path string) {
	path = filepath.Join(t.TempDir(), "socket")
	kit.Run(t, func(ctx context.Context) error { return a.Listen(ctx, path) })
	kit.Run(t, func(ctx context.Context) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case told := <-a.tells:
				if err := a.tell(ctx, told); err != nil {
					return err
				}
			}
		}
	})
	kit.Eventually(t, func() bool { _, err := os.Stat(path); return err == nil }, "the socket is there")
	return path
}

// spooled returns the events in the spool.
func spooled(t *testing.T, a *Agent) (events []roster.Event) {
	d := wire.NewDecoder(a.Subjects)
	for r := a.Spool.Reader(); ; {
		next, ok, err := r.TryNext()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return events
		}
		var e roster.Event
		if refusal := d.Decode("", "", next.Payload, &e); refusal != nil {
			t.Fatal(refusal)
		}
		events = append(events, e)
	}
}

// TestSocket: what local programs tell of is on disk when it is answered, and is listed
// until its logout, by the next life of the agent, too; what they cannot tell of is refused
// with the reason.
func TestSocket(t *testing.T) {
	dir := t.TempDir()
	a := newTestAgent(t, dir)
	conn, err := net.Dial("unix", serveSocket(t, a))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	answers := bufio.NewReader(conn)
	for _, c := range []struct{ asked, refused string }{
		{`{"type":"login","user":"lane","session":"ftp-1","service":"vsftpd","remote":"10.0.0.7"}`, ""},
		{`{"type":"login","user":"chris","session":"ftp-2","machine":"web1"}`, ""},
		{`{"type":"login","user":"lane"}`, "session: missing"},
		{`{"type":"login","user":"lane","session":"1","machine":"db1"}`, `machine: this is "web1"`},
		{`{"type":"login","user":"lane","session":"1","date":"2199-01-01T00:00:00Z"}`, "date: in the future"},
		{`{"type":"boot"}`, "type: login or logout"},
		{`{"type":"login","session":"1"}`, "user: missing"},
		{`lane`, "not one JSON object"},
		{`null`, "not one JSON object"},
		{`[]`, "not one JSON object"},
		{`{"type":"logout","session":"ftp-2"}`, ""},
	} {
		if _, err := conn.Write([]byte(c.asked + "\n")); err != nil {
			t.Fatal(err)
		}
		line, err := answers.ReadBytes('\n')
		var answer Answer
		if err != nil || json.Unmarshal(line, &answer) != nil || !strings.Contains(answer.Error, c.refused) || (answer.Error == "") != (c.refused == "") {
			t.Errorf("%s: %s, %v; want %q", c.asked, line, err, c.refused)
		}
	}
	events := spooled(t, a)
	if len(events) != 3 || events[0].Session.Service != "vsftpd" || events[2].Type != roster.Logout || events[2].Date <= events[1].Date {
		t.Errorf("spooled: %+v", events)
	}
	want := []roster.Session{{User: "lane", ID: "ftp-1", Since: events[0].Date, Remote: "10.0.0.7", Service: "vsftpd"}}
	next, err := loadTold(dir)
	if err != nil || len(a.told.list()) != 1 || len(next.list()) != 1 || next.list()[0].User != want[0].User || next.list()[0].Remote != want[0].Remote {
		t.Errorf("told of: %+v, the next life %+v, %v; want %+v", a.told.list(), next.list(), err, want)
	}
	if err := a.boot("another boot", time.Now()); err != nil || len(a.told.list()) != 0 {
		t.Errorf("after a boot: %+v, %v", a.told.list(), err)
	}
}

// TestSocketOfOthers: only root, and the agent's own user, are answered.
func TestSocketOfOthers(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("not running as root: no other user to ask as")
	}
	a := newTestAgent(t, t.TempDir())
	path := serveSocket(t, a)
	for file, mode := range map[string]os.FileMode{path: 0o666, filepath.Dir(path): 0o755, filepath.Dir(filepath.Dir(path)): 0o755} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
	}
	answer := make(chan string)
	go func() {
		runtime.LockOSThread() // it ends with this goroutine
		if _, _, no := syscall.RawSyscall(syscall.SYS_SETRESUID, nobody, nobody, nobody); no != 0 {
			answer <- no.Error()
			return
		}
		conn, err := net.Dial("unix", path)
		if err != nil {
			answer <- err.Error()
			return
		}
		defer conn.Close()
		fmt.Fprintln(conn, `{"type":"login","user":"lane","session":"1"}`)
		line, _ := bufio.NewReader(conn).ReadString('\n')
		answer <- line
	}()
	if got := <-answer; !strings.Contains(got, "only root may ask") || len(spooled(t, a)) != 0 {
		t.Errorf("asked as nobody: %s; spooled %v", got, spooled(t, a))
	}
}

// nobody is a user that is not root.
const nobody = 65534
