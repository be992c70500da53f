// Package program builds and runs programs in the tests of deploy: the real rollcall, and
// those that it works with.
package program

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// Process is a running program. It is stopped when the test ends.
type Process struct {
	t     testing.TB
	cmd   *exec.Cmd
	ended chan struct{} // closed when the program has ended and was waited for
	err   error         // how it ended; after ended

	mu  sync.Mutex
	log bytes.Buffer
}

// Write implements [io.Writer] for the program's output.
func (p *Process) Write(line []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.Write(line)
}

// Log returns what the program has printed so far to stdout and stderr.
func (p *Process) Log() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// Start starts a program with only these variables, PATH and HOME. Its output is logged
// if the test fails.
func Start(t testing.TB, variables []string, path string, args ...string) *Process {
	t.Helper()
	p := &Process{t: t, cmd: exec.Command(path, args...), ended: make(chan struct{})}
	p.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, variables...)
	p.cmd.Stdout, p.cmd.Stderr = p, p
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.Stop()
		if t.Failed() {
			t.Logf("%s:\n%s", filepath.Base(path), p.Log())
		}
	})
	return p
}

// Signal sends the program a signal.
func (p *Process) Signal(signal os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(signal); err != nil {
		p.t.Error(err)
	}
}

// PID returns the process ID.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Wait waits until the program has ended and returns the error of [exec.Cmd.Wait].
func (p *Process) Wait() error {
	<-p.ended
	return p.err
}

// Stop interrupts the program, and kills it after ten seconds.
func (p *Process) Stop() {
	select {
	case <-p.ended:
		return
	default:
	}
	_ = p.cmd.Process.Signal(os.Interrupt)
	select {
	case <-p.ended:
	case <-time.After(10 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// AwaitLog waits until the program has printed this text.
func (p *Process) AwaitLog(text string) {
	p.t.Helper()
	Eventually(p.t, "the program prints "+text, func() bool {
		select {
		case <-p.ended:
			p.t.Fatalf("ended (%v) before it printed %q", p.err, text)
		default:
		}
		return strings.Contains(p.Log(), text)
	})
}

// folder is where programs are built.
var folder string

// Main runs the tests of a package, for its TestMain.
func Main(m *testing.M) {
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	if folder, err = os.MkdirTemp("", "rollcall"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(folder)
	return m.Run()
}

// Folder returns a new folder that stays until all tests of the package have ended.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(folder, "")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// root is the folder of the repository.
var root = sync.OnceValues(func() (string, error) {
	mod, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(filepath.Dir(string(mod))), err
})

// Root returns the folder of the repository.
func Root(t testing.TB) string {
	t.Helper()
	dir, err := root()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

var built sync.Map // of func() (string, error), by package path

// Build builds a command of the repository, or of a dependency, and returns the path of
// the program. Only the first call builds. The package's TestMain must call Main.
func Build(t testing.TB, pkg string, flags ...string) string {
	t.Helper()
	dir := Root(t)
	build, _ := built.LoadOrStore(pkg, sync.OnceValues(func() (string, error) {
		path := filepath.Join(folder, filepath.Base(pkg))
		cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), pkg)...)
		cmd.Dir = dir
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("building %s: %w\n%s", pkg, err, out)
		}
		return path, err
	}))
	path, err := build.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// NATS returns the path of the nats tool, in the version of internal/test/tools.
func NATS(t testing.TB) string {
	t.Helper()
	return Build(t, "github.com/nats-io/natscli/nats", "-modfile=internal/test/tools/go.mod")
}

// Rollcall returns the path of rollcall, built from the working tree.
func Rollcall(t testing.TB) string {
	t.Helper()
	return Build(t, "rollcall/cmd/rollcall")
}

// Service is a running rollcall serve.
type Service struct {
	*Process
	URL  string // of metrics and health, without a slash at the end
	NATS string // URL of the server that it uses
}

// Serve starts rollcall serve with these variables, on a free port and with a temporary
// data folder; unless they set NATS_URL, with the embedded server on a free port. It
// returns when the service is ready.
func Serve(t testing.TB, variables ...string) *Service {
	t.Helper()
	return ServeAs(t, nil, variables...)
}

// ServeAs is Serve with a prefix: a command that executes its last arguments.
func ServeAs(t testing.TB, by []string, variables ...string) *Service {
	t.Helper()
	command := append(slices.Clone(by), Rollcall(t), "serve")
	s := &Service{Process: Start(t, append([]string{
		"ROLLCALL_DATA_DIR=" + t.TempDir(), "ROLLCALL_HTTP_ADDR=127.0.0.1:0", "ROLLCALL_PAGE_ADDR=127.0.0.1:0", "ROLLCALL_EMBEDDED_ADDR=127.0.0.1:0",
	}, variables...), command[0], command[1:]...)}
	s.AwaitLog(`"msg":"ready"`)
	for line := range strings.Lines(s.Log()) {
		var said struct{ Msg, URL, NATS string }
		_ = json.Unmarshal([]byte(line), &said)
		switch said.Msg {
		case "metrics and health":
			s.URL = strings.TrimSuffix(said.URL, "/")
		case "events in":
			s.NATS = said.NATS
		}
	}
	return s
}

// Get requests a path from the service over HTTP and returns the body.
func (s *Service) Get(path string) string {
	s.t.Helper()
	answer, err := http.Get(s.URL + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return string(body)
}

// Output runs a program and returns its standard output.
func Output(t testing.TB, path string, args ...string) string {
	t.Helper()
	out, err := exec.Command(path, args...).Output()
	if err != nil {
		t.Fatalf("%s %q: %v", path, args, err)
	}
	return string(out)
}

// Eventually waits until the condition is true, and fails the test after a minute.
func Eventually(t testing.TB, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !condition(); {
		if time.Now().After(end) {
			t.Fatalf("not true within a minute: %s", what)
		}
		time.Sleep(20 * time.Millisecond)
	}
}
