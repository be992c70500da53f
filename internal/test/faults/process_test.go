// Package faults has no code, only tests. They prove the promise that rollcall
// exists for: after any crash, restart or fault of the broker, the roster is,
// bit for bit, that of a run in which nothing happened. Each runs the real
// program, as a process of its own, against a real nats-server, does to one of
// them what happens to processes, and then compares: the state_digest with that
// of a rollcall that read the same stream undisturbed, the report with an
// oracle that knows no registers and no stamps, and the dead letters with what
// the oracle refuses.
//
// Each test is short unless a flag makes it long:
//
//	go test ./internal/test/faults -run TestKill$ -faults.kills=1000 -timeout 30m
//
// A test that draws at random prints its seed when it fails; -seed sets it.
package faults

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/test/kit"
)

var seed = flag.Uint64("seed", 0, "seed of what is drawn at random; 0: another one each time")

// programs is the folder of the programs that the tests run.
var programs string

func TestMain(m *testing.M) {
	flag.Parse()
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = dir
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

// The programs, each built once, when it is first asked for.
var (
	rollcall   = program("rollcall", "rollcall/cmd/rollcall")
	natsServer = program("nats-server", "github.com/nats-io/nats-server/v2")
)

// program returns a function that builds a program and returns its path.
func program(name string, build ...string) func(*testing.T) string {
	once := sync.OnceValues(func() (string, error) {
		path := filepath.Join(programs, name)
		out, err := exec.Command("go", append([]string{"build", "-o", path}, build...)...).CombinedOutput()
		if err != nil {
			err = fmt.Errorf("building %s: %w\n%s", name, err, out)
		}
		return path, err
	})
	return func(t *testing.T) string {
		t.Helper()
		path, err := once()
		if err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// random returns a source that -seed determines; the seed is printed if the
// test fails.
func random(t *testing.T) *rand.Rand {
	t.Helper()
	s := *seed
	if s == 0 {
		s = rand.Uint64()
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("to draw the same: -seed=%d", s)
		}
	})
	return rand.New(rand.NewPCG(s, 0))
}

// upTo returns a channel that fires after a random time.
func upTo(rng *rand.Rand, most time.Duration) <-chan time.Time {
	return time.After(time.Duration(rng.Int64N(int64(most))))
}

// process is a running program.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	ended chan struct{}
	log   kit.Output // its standard error
}

// start starts a program with these variables and no others. The test ends it.
func start(t *testing.T, path string, variables []string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = variables
	return run(t, cmd)
}

// run starts a command; its standard error is the log.
func run(t *testing.T, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{t: t, ended: make(chan struct{}), cmd: cmd}
	cmd.Stderr = &p.log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		cmd.Wait() //nolint:errcheck // its state is looked at
	}()
	t.Cleanup(func() {
		length := 4096
		select {
		case <-p.ended:
			length = 512 // of the many that a test has killed
		default:
		}
		p.end(syscall.SIGKILL)
		if t.Failed() {
			said := p.log.String()
			t.Logf("end of the log of %s, process %d:\n%s", filepath.Base(cmd.Path), p.cmd.Process.Pid, said[max(0, len(said)-length):])
		}
	})
	return p
}

// serve starts "rollcall serve" on a data folder and a server, with its HTTP on
// a port of its own and everything that it does every so often done often; the
// variables come last and win.
func serve(t *testing.T, dir, nats string, variables ...string) *process {
	t.Helper()
	return serveAs(t, rollcall(t), dir, nats, variables...)
}

func serveAs(t *testing.T, path, dir, nats string, variables ...string) *process {
	t.Helper()
	return start(t, path, append([]string{
		"ROLLCALL_DATA_DIR=" + dir, "NATS_URL=" + nats, "ROLLCALL_HTTP_ADDR=127.0.0.1:0",
		"ROLLCALL_REPORT_INTERVAL=50ms", "ROLLCALL_SNAPSHOT_INTERVAL=20ms",
		"ROLLCALL_ALLOWED_LATENESS=" + lateness.String(), "ROLLCALL_MAX_SKEW=" + skew.String(),
	}, variables...), "serve")
}

// end sends a signal and returns how the process ended.
func (p *process) end(s os.Signal) *os.ProcessState {
	p.cmd.Process.Signal(s) //nolint:errcheck // it may have ended
	<-p.ended
	return p.cmd.ProcessState
}

// lines returns the lines of the log with a message, each as its keys.
func (p *process) lines(message string) []map[string]any {
	var found []map[string]any
	for line := range strings.Lines(p.log.String()) {
		var entry map[string]any
		if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
			found = append(found, entry)
		}
	}
	return found
}

// says waits for a line of the log and returns one of its values.
func (p *process) says(message, key string) string {
	p.t.Helper()
	var value any
	kit.Eventually(p.t, func() bool {
		found := p.lines(message)
		if len(found) == 0 {
			select {
			case <-p.ended:
				p.t.Fatalf("the process ended with %v and didn't say %q", p.cmd.ProcessState, message)
			default:
			}
			return false
		}
		value = found[0][key]
		return true
	}, fmt.Sprintf("the process says %q", message))
	return fmt.Sprint(value)
}

// get asks the service's HTTP for "metrics" or another path.
func (p *process) get(path string) string {
	p.t.Helper()
	response, err := http.Get(p.says("metrics and health", "url") + path)
	if err != nil {
		p.t.Fatal(err)
	}
	defer http.DefaultClient.CloseIdleConnections()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// metric returns the value of one series, -1 when there is none.
func (p *process) metric(series string) int {
	p.t.Helper()
	for line := range strings.Lines(p.get("metrics")) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			var n float64
			fmt.Sscan(value, &n)
			return int(n)
		}
	}
	return -1
}

// reaches waits until the roster is at a place.
func (p *process) reaches(place uint64) {
	p.t.Helper()
	kit.Eventually(p.t, func() bool {
		return p.metric("rollcall_position") == int(place)
	}, fmt.Sprintf("the roster is at place %d", place))
}

// digest returns the state_digest of the snapshot of a place, once there is
// one.
func (p *process) digest(place uint64) string {
	p.t.Helper()
	found := regexp.MustCompile(fmt.Sprintf(`place %d, .*state_digest ([0-9a-f]{64})`, place))
	var digest string
	kit.Eventually(p.t, func() bool {
		match := found.FindStringSubmatch(p.get("readyz?verbose"))
		if match != nil {
			digest = match[1]
		}
		return match != nil
	}, fmt.Sprintf("there is a snapshot of place %d", place))
	return digest
}

// fates returns the fates by name.
func (p *process) fates() map[string]int {
	p.t.Helper()
	counts := make(map[string]int)
	for _, fate := range []string{"applied", "superseded", "dead_lettered", "lost"} {
		counts[fate] = p.metric(`rollcall_fates{fate="` + fate + `"}`)
	}
	return counts
}

// report returns what "rollcall report" prints, once it is answered: rollcall's
// connection for questions may come back later than the one for events.
func (p *process) report(nats string) string {
	p.t.Helper()
	var stdout, stderr bytes.Buffer
	defer func() {
		if stderr.Len() > 0 {
			p.t.Logf("rollcall report: %s", &stderr)
		}
	}()
	kit.Eventually(p.t, func() bool {
		stdout.Reset()
		stderr.Reset()
		cmd := exec.Command(rollcall(p.t), "report")
		cmd.Env, cmd.Stdout, cmd.Stderr = []string{"NATS_URL=" + nats}, &stdout, &stderr
		return cmd.Run() == nil
	}, "rollcall report is answered")
	return stdout.String()
}
