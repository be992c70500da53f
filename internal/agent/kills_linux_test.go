package agent

import (
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/test/kit"
	testmachine "rollcall/internal/test/machine"
)

var kills = flag.Int("agent.kills", kit.Length(5, 15), "how often TestKills kills the agent, the service or the server")

// process is a program on the host that is killed and started again.
type process struct {
	t    *testing.T
	path string
	args []string
	env  []string
	log  kit.Output // of all its lives
	cmd  *exec.Cmd
}

func (p *process) start() {
	p.t.Helper()
	p.cmd = exec.Command(p.path, p.args...)
	p.cmd.Env, p.cmd.Stderr = p.env, &p.log
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// kill kills it with SIGKILL; that it has ended before is an error.
func (p *process) kill() {
	p.t.Helper()
	err := p.cmd.Process.Kill()
	var exit *exec.ExitError
	if ended := p.cmd.Wait(); err != nil || !errors.As(ended, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		p.t.Errorf("%s was not killed: %v, %v", p.path, err, ended)
	}
}

// run starts it, until the test ends.
func (p *process) run() *process {
	p.start()
	p.t.Cleanup(func() {
		p.kill()
		if said := p.log.String(); p.t.Failed() {
			p.t.Logf("end of the log of %s:\n%s", p.path, said[max(0, len(said)-3000):])
		}
	})
	return p
}

// startNATS starts a nats-server with a store on disk.
func startNATS(t *testing.T) (p *process, url string) {
	address, dir := kit.FreeAddress(t), t.TempDir()
	config := filepath.Join(dir, "nats.conf")
	text := fmt.Sprintf("listen: %q\njetstream { store_dir: %q, sync_interval: always }\n", address, filepath.Join(dir, "store"))
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	p = (&process{t: t, path: built(t, "github.com/nats-io/nats-server/v2"), args: []string{"-c", config}}).run()
	kit.Eventually(t, func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	}, "nats-server listens")
	return p, "nats://" + address
}

// startService starts the service, and waits until it has its streams.
func startService(t *testing.T, url string) *process {
	p := (&process{t: t, path: built(t, "rollcall/cmd/rollcall"), args: []string{"serve"}, env: []string{
		"NATS_URL=" + url, "ROLLCALL_DATA_DIR=" + t.TempDir(), "ROLLCALL_HTTP_ADDR=127.0.0.1:0", "ROLLCALL_SNAPSHOT_INTERVAL=200ms",
	}}).run()
	kit.Eventually(t, func() bool { return p.log.Has(`"msg":"ready"`) }, "the service is ready")
	return p
}

// who asks the service who is on, as "rollcall who" does.
func (p *process) who(machine string) (on []string, missing uint64, err error) {
	cmd := exec.Command(p.path, "who", machine, "--output=json")
	cmd.Env = p.env
	out, err := cmd.Output()
	if err != nil {
		return nil, 0, err
	}
	var answer api.MachineAnswer
	if err := json.Unmarshal(out, &answer); err != nil {
		return nil, 0, err
	}
	for _, s := range answer.Sessions {
		on = append(on, s.User+" "+s.ID)
	}
	slices.Sort(on)
	return on, answer.Missing, nil
}

// logInAndOut logs ada in and out, several at a time, until it is ended; it returns the
// sessions.
func (m *installed) logInAndOut() (end func() []string) {
	var mu sync.Mutex
	var ids []string
	var g sync.WaitGroup
	enough := make(chan struct{})
	for range 4 {
		g.Go(func() {
			for {
				select {
				case <-enough:
					return
				default:
				}
				l, err := m.TryLogin("ada", "", false)
				if err != nil {
					m.t.Error(err)
					return
				}
				l.End()
				mu.Lock()
				ids = append(ids, l.ID)
				mu.Unlock()
			}
		})
	}
	return func() []string { close(enough); g.Wait(); return ids }
}

// TestKills: while users log in and out, the agent, the service and the server are killed at
// random moments. Each login and logout is told of once, and the service knows who is on.
func TestKills(t *testing.T) {
	m := &installed{Machine: testmachine.Boot(t, "web1"), t: t}
	m.AddUsers("ada")
	server, url := startNATS(t)
	service := startService(t, url)
	m.js = kit.JetStream(t, kit.Conn(t, url))
	m.install(url)
	m.Run("systemctl", "start", "rollcall-agent")
	end := m.logInAndOut()
	killed := map[string]int{}
	for range *kills {
		victim := rand.N(3)
		if victim == 0 {
			kit.Eventually(t, func() bool { _, err := m.Try("systemctl", "is-active", "rollcall-agent"); return err == nil }, "the agent runs")
		}
		time.Sleep(rand.N(time.Second)) // the moments are random
		switch victim {
		case 0:
			m.Run("systemctl", "kill", "-s", "KILL", "rollcall-agent")
			killed["agent"]++
		case 1:
			service.kill()
			service.start()
			killed["service"]++
		case 2:
			server.kill()
			server.start()
			killed["server"]++
		}
	}
	ids := end()
	want := []string{as("ada", m.Login("ada", "")), as("ada", m.Login("ada", ""))}
	slices.Sort(want)
	m.awaitStored()
	var on []string
	kit.Eventually(t, func() bool {
		now, missing, err := service.who("web1")
		on = now
		return err == nil && missing == 0 && slices.Equal(now, want)
	}, fmt.Sprintf("the service says that %q are on, and nothing is missing", want))
	m.wantOnce(ids)
	messages, numbers := len(events(t, m.js)), fold(events(t, m.js)).Status()
	t.Logf("killed %v; %d logins, on are %q; %d messages in the stream, %d missing", killed, len(ids), on, messages, numbers.Missing)
}

// awaitStored waits until the agent runs and has nothing to publish.
func (m *installed) awaitStored() {
	m.t.Helper()
	kit.Eventually(m.t, func() bool {
		status, err := m.Try("rollcall-agent", "status")
		return err == nil && strings.Contains(status, "sources read   yes") && strings.Contains(status, "waiting 0,")
	}, "all is stored")
}
