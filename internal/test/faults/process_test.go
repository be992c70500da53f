// Package faults has only tests. They check rollcall's main promise: after any crash,
// restart or fault of the NATS server, the roster is, bit for bit, that of a run without
// it. Most run the real program against a real nats-server, kill, stop or disconnect
// one of them, and then compare: the state_digest with that of a rollcall that read the
// same stream undisturbed, the report with an oracle that has no registers and no
// stamps, and the dead letters with the messages that the oracle refuses.
//
// The tests are short unless a flag makes them long:
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

var seed = flag.Uint64("seed", 0, "seed of the random source; 0: a new one each time")

// programs is the folder in which the programs under test are built.
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

// The programs, each built on first use.
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
			t.Logf("reproduce with -seed=%d", s)
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
	root  string     // before the paths of its files; empty: it sees the same as the tests
	log   kit.Output // its standard error
}

// start starts a program with only these environment variables. It is killed when the
// test ends.
func start(t *testing.T, path string, variables []string, args ...string) *process {
	t.Helper()
	cmd := exec.Command(path, args...)
	cmd.Env = kit.Only(variables...)
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
		cmd.Wait() //nolint:errcheck // callers check ProcessState
	}()
	t.Cleanup(func() {
		length := 4096
		select {
		case <-p.ended:
			length = 512 // short: a test may have killed many
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

// serve starts "rollcall serve" with a data folder and a server, with HTTP on a free
// port and with short intervals; the variables override these settings.
func serve(t *testing.T, dir, nats string, variables ...string) *process {
	t.Helper()
	return serveAs(t, rollcall(t), dir, nats, variables...)
}

func serveAs(t *testing.T, path, dir, nats string, variables ...string) *process {
	t.Helper()
	return start(t, path, environment(dir, nats, variables...), "serve")
}

// environment returns the variables of "rollcall serve".
func environment(dir, nats string, variables ...string) []string {
	return append([]string{
		"ROLLCALL_DATA_DIR=" + dir, "NATS_URL=" + nats, "ROLLCALL_HTTP_ADDR=127.0.0.1:0",
		"ROLLCALL_REPORT_INTERVAL=50ms", "ROLLCALL_SNAPSHOT_INTERVAL=20ms",
		"ROLLCALL_ALLOWED_LATENESS=" + lateness.String(), "ROLLCALL_MAX_SKEW=" + skew.String(),
	}, variables...)
}

// end sends a signal, waits for the process to end and returns its state.
func (p *process) end(s os.Signal) *os.ProcessState {
	p.cmd.Process.Signal(s) //nolint:errcheck // it may have ended
	<-p.ended
	return p.cmd.ProcessState
}

// lines returns the attributes of the log lines with a message.
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

// awaitLog waits for a log line with a message and returns the value of one key.
func (p *process) awaitLog(message, key string) string {
	p.t.Helper()
	var value any
	kit.Eventually(p.t, func() bool {
		found := p.lines(message)
		if len(found) == 0 {
			select {
			case <-p.ended:
				p.t.Fatalf("the process ended with %v and did not log %q", p.cmd.ProcessState, message)
			default:
			}
			return false
		}
		value = found[0][key]
		return true
	}, fmt.Sprintf("the process logs %q", message))
	return fmt.Sprint(value)
}

// get returns the body of a path of the service's HTTP server, such as "metrics".
func (p *process) get(path string) string {
	p.t.Helper()
	response, err := http.Get(p.awaitLog("metrics and health", "url") + path)
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

// metric returns the value of one series, or -1 if there is none.
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

// awaitPlace waits until the roster is at a place: for as long as it is on its way there.
func (p *process) awaitPlace(place uint64) {
	p.t.Helper()
	for at := -1; at != int(place); {
		kit.Eventually(p.t, func() bool {
			was := at
			at = p.metric("rollcall_position")
			return at == int(place) || at > was && at < int(place)
		}, fmt.Sprintf("the roster is at place %d", place))
	}
}

// digest waits for a snapshot at a place and returns its state_digest.
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
	}, fmt.Sprintf("there is a snapshot at place %d", place))
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

// report returns the output of "rollcall report". It retries until the question is
// answered: rollcall's connection for questions may reconnect later than the one for
// events.
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
