package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

const seedFile = "../../deploy/examples/seed.jsonl"

// process is a running "rollcall serve".
type process struct {
	t       *testing.T
	cmd     *exec.Cmd
	dir     string // its data folder
	nats    string // where its server listens
	metrics string // the URL of its metrics
	log     kit.Output
	ended   chan struct{}
}

// serve starts the service with a data folder and, unless the variables name another, its
// embedded server, and returns when it is ready.
func serve(t *testing.T, dir string, variables ...string) *process {
	t.Helper()
	p := begin(t, dir, variables...)
	p.nats = p.says("events in", "nats")
	p.metrics = p.says("metrics and health", "url") + "metrics"
	p.says("ready", "place")
	return p
}

// begin starts the service.
func begin(t *testing.T, dir string, variables ...string) *process {
	t.Helper()
	p := &process{t: t, dir: dir, ended: make(chan struct{})}
	p.cmd = exec.Command(filepath.Join(binary, "rollcall"), "serve")
	p.cmd.Env = kit.Only(append([]string{
		"ROLLCALL_DATA_DIR=" + dir, "ROLLCALL_EMBEDDED_ADDR=127.0.0.1:0", "ROLLCALL_HTTP_ADDR=127.0.0.1:0", "ROLLCALL_PAGE_ADDR=127.0.0.1:0",
		"ROLLCALL_REPORT_INTERVAL=50ms", "ROLLCALL_SNAPSHOT_INTERVAL=50ms",
		"ROLLCALL_HISTORY=200000h", // some events are dated 2020
	}, variables...)...)
	p.start()
	return p
}

// start starts the program, which is killed when the test ends.
func (p *process) start() {
	p.t.Helper()
	p.cmd.Stderr = &p.log
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		p.cmd.Wait() //nolint:errcheck // its exit code is looked at
	}()
	p.t.Cleanup(func() {
		p.stop(syscall.SIGKILL)
		if p.t.Failed() {
			p.t.Logf("log of rollcall %s:\n%s", p.cmd.Args[1], p.log.String())
		}
	})
}

// says waits for a line of the log and returns one of its values.
func (p *process) says(message, key string) string {
	p.t.Helper()
	var value any
	kit.Eventually(p.t, func() bool {
		select {
		case <-p.ended:
			p.t.Fatalf("the service ended with %v before it logged %q:\n%s", p.cmd.ProcessState, message, p.log.String())
		default:
		}
		for line := range strings.Lines(p.log.String()) {
			var entry map[string]any
			if json.Unmarshal([]byte(line), &entry) == nil && entry["msg"] == message {
				value = entry[key]
				return true
			}
		}
		return false
	}, "the service says "+message)
	return fmt.Sprint(value)
}

// stop sends a signal and returns the exit code, -1 after a kill.
func (p *process) stop(s os.Signal) int {
	p.cmd.Process.Signal(s) //nolint:errcheck // it may have ended
	<-p.ended
	return p.cmd.ProcessState.ExitCode()
}

// tool runs another command against the service.
func (p *process) tool(stdin string, args ...string) result {
	p.t.Helper()
	cmd := exec.Command(filepath.Join(binary, "rollcall"), args...)
	var out, err bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &err
	cmd.Env = kit.Only("NATS_URL=" + p.nats)
	cmd.Run() //nolint:errcheck // its exit code is looked at
	return result{cmd.ProcessState.ExitCode(), out.String(), err.String()}
}

func (p *process) get(url string) string {
	p.t.Helper()
	response, err := http.Get(url)
	if err != nil {
		p.t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	http.DefaultClient.CloseIdleConnections()
	return string(body)
}

// metric returns the value of one series.
func (p *process) metric(series string) string {
	p.t.Helper()
	for line := range strings.Lines(p.get(p.metrics)) {
		if value, ok := strings.CutPrefix(line, series+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "none"
}

// reaches waits until the roster has read so many messages.
func (p *process) reaches(place int) {
	p.t.Helper()
	kit.Eventually(p.t, func() bool {
		return p.metric("rollcall_position") == fmt.Sprint(place)
	}, fmt.Sprintf("the roster is at place %d", place))
}

func (p *process) wantReport(want string) {
	p.t.Helper()
	if got := p.tool("", "report"); got.code != 0 || got.out != want {
		p.t.Errorf("report is %+v, want %q", got, want)
	}
}

// connect connects as the service does: to the embedded server with its key.
func (p *process) connect() *nats.Conn {
	key, err := nats.NkeyOptionFromSeed(natsconn.KeyFile(filepath.Join(p.dir, "nats")))
	if err != nil {
		return kit.Conn(p.t, p.nats)
	}
	return kit.Conn(p.t, p.nats, key)
}

// digest returns the state_digest of the snapshot at a place.
func (p *process) digest(place int) string {
	p.t.Helper()
	found := regexp.MustCompile(fmt.Sprintf(`snapshot: place %d, .* state_digest ([0-9a-f]{64})`, place))
	var digest string
	kit.Eventually(p.t, func() bool {
		match := found.FindStringSubmatch(p.get(strings.TrimSuffix(p.metrics, "metrics") + "readyz?verbose"))
		if match != nil {
			digest = match[1]
		}
		return match != nil
	}, fmt.Sprintf("there is a snapshot of place %d", place))
	return digest
}
