package compose_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/types"

	"rollcall/deploy/internal/program"
)

// machine simulates the machine on which compose.yaml is brought up: volumes are folders,
// and containers are processes, with the containers' paths replaced by paths of this
// machine.
type machine struct {
	t       *testing.T
	project *types.Project
	dir     string
	nats    string // URL of the server
}

// TestTogether: the programs work together as compose.yaml configures them, with the keys
// that prepare creates and as the users that it names.
func TestTogether(t *testing.T) {
	m := newMachine(t)
	m.run("prepare")
	m.startNATS()
	m.run("streams")
	m.run("streams") // again, with existing streams
	service := m.serve()

	m.checkHealth(service)
	m.runWith("admin", "pub", "--jetstream", "rollcall.events.web1",
		`{"date":"2026-11-22T21:00:00Z","type":"login","machine":"web1","user":"lane"}`)
	program.Eventually(t, "the login is in the report", func() bool {
		return strings.Contains(m.runWith("ask", "report"), "web1: lane\n")
	})
	if got := m.runWith("admin", "stream", "ls", "--names"); strings.Count(got, "ROLLCALL_") != 3 {
		t.Errorf("the streams are %s", got)
	}
}

// TestPrepareAgain: prepare adds a machine, and changes no existing key.
func TestPrepareAgain(t *testing.T) {
	m := newMachine(t)
	m.run("prepare")
	before := read(t, m.path("keys/service.nk"))
	users := read(t, m.path("nats-config/users.conf"))
	m.runWith("prepare", "web2")
	if read(t, m.path("service-key/service.nk")) != before || read(t, m.path("nats-config/users.conf")) != users {
		t.Error("the keys have changed")
	}
	machines := read(t, m.path("nats-config/machines.conf"))
	for _, name := range []string{"web1", "web2"} {
		if !strings.Contains(machines, `"rollcall.events.`+name+`"`) {
			t.Errorf("%s may not publish: %s", name, machines)
		}
	}
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, project: load(t), dir: t.TempDir()}
	for name := range m.project.Volumes {
		m.mkdir(name)
	}
	m.mkdir("tmp")
	// What compose mounts into another volume.
	if err := os.Symlink(m.path("keys"), m.path("nats-config/keys")); err != nil {
		t.Fatal(err)
	}
	m.tools()
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) mkdir(name string) {
	m.t.Helper()
	if err := os.Mkdir(m.path(name), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// tools creates a folder with the programs of the containers: the nats tool, and a chown
// that does nothing, as the real one needs root.
func (m *machine) tools() {
	m.t.Helper()
	m.mkdir("bin")
	write(m.t, m.path("bin/chown"), "#!/bin/sh\n")
	build := exec.Command("go", "build", "-modfile=internal/test/tools/go.mod", "-o", m.path("bin/nats"), "github.com/nats-io/natscli/nats")
	build.Dir = program.Root(m.t)
	if out, err := build.CombinedOutput(); err != nil {
		m.t.Fatalf("building the nats tool: %v\n%s", err, out)
	}
}

// here replaces the paths of a service's container in text by those here, and
// the server's address.
func (m *machine) here(s types.ServiceConfig, text string) string {
	targets := slices.Clone(s.Tmpfs)
	for _, volume := range s.Volumes {
		targets = append(targets, volume.Target)
	}
	slices.SortFunc(targets, func(a, b string) int { return len(b) - len(a) })
	paths := regexp.MustCompile(`(^|[\s"'=>])(` + strings.Join(targets, "|") + `)\b`)
	text = paths.ReplaceAllStringFunc(text, func(found string) string {
		part := paths.FindStringSubmatch(found)
		if part[2] == "/tmp" {
			return part[1] + m.path("tmp")
		}
		return part[1] + outside(m.t, s, part[2], m.dir)
	})
	return strings.ReplaceAll(text, "nats://nats:4222", m.nats)
}

// environment returns the variables of a service.
func (m *machine) environment(s types.ServiceConfig) []string {
	variables := []string{"PATH=" + m.path("bin") + ":" + os.Getenv("PATH")}
	for name, text := range s.Environment {
		variables = append(variables, name+"="+m.here(s, *text))
	}
	return variables
}

// run runs a service that exits by itself, with its own command.
func (m *machine) run(name string) {
	m.t.Helper()
	m.runWith(name, m.project.Services[name].Command...)
}

// runWith runs a service with this command and returns what it printed.
func (m *machine) runWith(name string, command ...string) string {
	m.t.Helper()
	s := m.project.Services[name]
	words := append(slices.Clone([]string(s.Entrypoint)), command...)
	if words[0] == "sh" {
		// The script's own paths, too.
		script := outside(m.t, s, words[1], m.dir)
		words[1] = m.path(filepath.Base(script) + ".sh")
		write(m.t, words[1], m.here(s, read(m.t, script)))
	}
	if words[0] == "/rollcall" {
		words[0] = program.Rollcall(m.t)
	}
	if words[0] == "nats" {
		words[0] = m.path("bin/nats")
	}
	p := program.Start(m.t, m.environment(s), words[0], words[1:]...)
	if err := p.Wait(); err != nil {
		m.t.Fatalf("%s %q: %v\n%s", name, command, err, p.Log())
	}
	return p.Log()
}

// startNATS starts the server with the configuration that prepare has written, on free
// ports.
func (m *machine) startNATS() {
	m.t.Helper()
	s := m.project.Services["nats"]
	conf := m.path("nats-config/nats-server.conf")
	if want := []string{"--config", "/etc/nats/nats-server.conf"}; !slices.Equal(s.Command, want) || outside(m.t, s, want[1], m.dir) != conf {
		m.t.Fatalf("the server is started with %q", s.Command)
	}
	text := m.here(s, read(m.t, conf))
	for _, port := range []string{"0.0.0.0:4222", "127.0.0.1:8222"} {
		if strings.Count(text, port) != 1 {
			m.t.Fatalf("%s is not in %s", port, text)
		}
		text = strings.Replace(text, port, "127.0.0.1:-1", 1)
	}
	write(m.t, conf, text)
	server := program.Start(m.t, nil, program.Build(m.t, "github.com/nats-io/nats-server/v2"), "--config", conf)
	server.AwaitLog("Server is ready")
	address := regexp.MustCompile(`client connections on (127\.0\.0\.1:\d+)`).FindStringSubmatch(server.Log())
	m.nats = "nats://" + address[1]
}

// serve starts the service on a free port.
func (m *machine) serve() *program.Service {
	m.t.Helper()
	s := m.project.Services["rollcall"]
	return program.Serve(m.t, append(m.environment(s), "ROLLCALL_HTTP_ADDR=127.0.0.1:0")...)
}

// checkHealth runs the service's health check, as compose does.
func (m *machine) checkHealth(service *program.Service) {
	m.t.Helper()
	test := m.project.Services["rollcall"].HealthCheck.Test
	if len(test) < 2 || test[0] != "CMD" || test[1] != "/rollcall" {
		m.t.Fatalf("rollcall is asked %q", test)
	}
	address := fmt.Sprintf("ROLLCALL_HTTP_ADDR=%s", strings.TrimPrefix(service.URL, "http://"))
	if p := program.Start(m.t, []string{address}, program.Rollcall(m.t), test[2:]...); p.Wait() != nil {
		m.t.Errorf("%q: %s", test, p.Log())
	}
}
