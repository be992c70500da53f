package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/rivo/uniseg"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"

	"rollcall/internal/test/kit"
)

// terminal is a pseudo-terminal that records what is written to it.
type terminal struct {
	*os.File
	written kit.Output
	ended   chan struct{} // closed when all that was written is in written
}

// openTerminal opens both ends of a terminal of so many columns. The caller closes them.
func openTerminal(t *testing.T, columns uint16) (master, slave *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := master.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	problem := raw.Control(func(fd uintptr) {
		if err = unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0); err != nil {
			return
		}
		if number, err = unix.IoctlGetInt(int(fd), unix.TIOCGPTN); err != nil {
			return
		}
		err = unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: columns})
	})
	if problem != nil || err != nil {
		t.Fatal(problem, err)
	}
	slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return master, slave
}

// newTerminal creates a terminal of so many columns, until the test ends.
func newTerminal(t *testing.T, columns uint16) *terminal {
	t.Helper()
	master, slave := openTerminal(t, columns)
	tty := &terminal{File: slave, ended: make(chan struct{})}
	go func() {
		defer close(tty.ended)
		defer master.Close()
		_, _ = io.Copy(&tty.written, master) // until the other end is closed
	}()
	t.Cleanup(tty.hangUp)
	return tty
}

// hangUp waits until everything written is recorded.
func (tty *terminal) hangUp() {
	_ = tty.Close() // perhaps again
	<-tty.ended
}

// inColours matches what changes the colour of a text.
var inColours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// lines returns the lines that a user sees in the end. Each but messages must have fit the
// width: a carriage return does not undo what was wrapped to the next row.
func (tty *terminal) lines(t *testing.T, columns int) []string {
	t.Helper()
	tty.hangUp()
	var lines []string
	for line := range strings.Lines(tty.written.String()) {
		var shown []rune
		for part := range strings.SplitSeq(strings.TrimRight(line, "\r\n"), "\r") {
			if n := uniseg.StringWidth(inColours.ReplaceAllString(part, "")); n > columns && !strings.HasPrefix(part, "rollcall: ") && !strings.Contains(part, "last heard") {
				t.Errorf("%q has %d columns of %d", part, n, columns)
			}
			written := []rune(part)
			shown = append(written, shown[min(len(shown), len(written)):]...)
		}
		lines = append(lines, strings.TrimRight(string(shown), " "))
	}
	return lines
}

// TestAnswerOnATerminal: an answer is cut to the width of the terminal.
func TestAnswerOnATerminal(t *testing.T) {
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	const answer = `{"when":"2026-11-22T21:00:00Z","stream":"S","complete":true,"reasons":[],"machine":"web1","past":{"at":"2026-11-22T20:00:00Z"},` +
		`"sessions":[{"user":"lane-with-a-name-that-is-long","since":"2026-11-22T19:00:00Z","remote":"2001:db8:85a3::8a2e:370:7334"}]}`
	_, err := kit.Conn(t, s.URL).Subscribe("rollcall.query.machine", func(m *nats.Msg) { _ = m.Respond([]byte(answer)) })
	if err != nil {
		t.Fatal(err)
	}
	for _, columns := range []int{60, 80, 120} {
		tty := newTerminal(t, uint16(columns))
		code := run(t.Context(), strings.Fields("who web1 --at 2026-11-22T20:00 --utc"), streams{nil, tty.File, tty.File})
		got := tty.lines(t, columns)
		if want := []string{"web1: at 2026-11-22 20:00:00Z", "USER", "lane"}; code != exitDone || len(got) != len(want) ||
			got[0] != want[0] || !strings.HasPrefix(got[1], want[1]) || !strings.HasPrefix(got[2], want[2]) {
			t.Errorf("%d columns: exit code %d, and it shows %q", columns, code, got)
		}
		if narrow := columns < 100; strings.Contains(got[len(got)-1], "…") != narrow {
			t.Errorf("%d columns: %q", columns, got[len(got)-1])
		}
	}
}

// ttyCmd runs a command of a script on a terminal, and prints what is on it in the end.
func ttyCmd(t *testing.T, ts *testscript.TestScript, args []string) {
	columns, err := strconv.ParseUint(args[0], 10, 16)
	ts.Check(err)
	tty := newTerminal(t, uint16(columns))
	path, err := exec.LookPath(filepath.Join(binary, args[1]))
	ts.Check(err)
	cmd := exec.Command(path, args[2:]...)
	cmd.Stdout, cmd.Stderr, cmd.Dir = tty.File, tty.File, ts.Getenv("WORK")
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "TZ", "NATS_URL", "NATS_CREDS", "NO_COLOR", "COLUMNS", "GORACE"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	ts.Check(cmd.Run())
	for _, line := range tty.lines(t, int(columns)) {
		fmt.Fprintln(ts.Stdout(), line)
	}
}
