package compose_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
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
	nats    string // address of the server
}

// TestTogether: the programs work together as compose.yaml configures them, with the
// credentials that "rollcall enroll" makes, and as the users that compose.yaml names.
func TestTogether(t *testing.T) {
	m := newMachine(t)
	m.run("init")
	m.run("prepare")
	m.startNATS()
	for range 2 { // again, with existing streams
		if got := m.run("streams"); !strings.HasSuffix(got, "ready: ROLLCALL_EVENTS, ROLLCALL_REPORTS, ROLLCALL_DEADLETTERS\n") {
			t.Errorf("streams: %s", got)
		}
	}
	service := m.serve()

	m.checkHealth(service)
	m.runWith("admin", "publish", "--login", "lane", "--machine", "web1")
	program.Eventually(t, "the login is in the report", func() bool {
		return strings.Contains(m.runWith("ask", "report"), "web1: lane\n")
	})
	if got := m.run("ask"); !strings.HasPrefix(got, "web1: lane\n") {
		t.Errorf("ask: %s", got)
	}
	page := m.checkPage()
	for line := range strings.Lines(service.Log() + page.Log()) {
		if strings.Contains(line, "denies") || strings.Contains(line, "Violation") {
			t.Error(line)
		}
	}
}

// TestMachines: a machine that is enrolled can publish at once, for itself only, and not
// after it was revoked; bringing everything up again changes no credentials.
func TestMachines(t *testing.T) {
	m := newMachine(t)
	m.run("init")
	m.run("prepare")
	server := m.startNATS()
	m.run("streams")
	before := read(t, m.path("service/nats.creds"))
	m.runWith("enroll", "web2")
	m.run("init")
	m.run("prepare")
	if read(t, m.path("service/nats.creds")) != before {
		t.Error("the service has other credentials after compose was brought up again")
	}
	if out, err := m.publishAs("web2", "web2"); err != nil || out != "1 stored\n" {
		t.Errorf("web2 publishes: %v: %s", err, out)
	}
	if out, err := m.publishAs("web2", "web1"); err == nil || !strings.Contains(out, `publish to "rollcall.events.web1"`) {
		t.Errorf("web2 publishes for another machine: %v: %s", err, out)
	}
	if got := m.run("enroll"); !regexp.MustCompile(`(?m)^machine +web2 `).MatchString(got) {
		t.Errorf("enrolled are\n%s", got)
	}
	kept, err := os.ReadFile(m.path("enrolled/machines/web2/agent.creds"))
	if err != nil {
		t.Fatal(err)
	}
	env := read(t, m.path("enrolled/machines/web2/agent.env"))
	m.runWith("enroll", "--revoke", "web2")
	write(t, m.path("enrolled/machines/web2/agent.creds"), string(kept))
	write(t, m.path("enrolled/machines/web2/agent.env"), env)
	m.run("prepare")
	server.Signal(syscall.SIGHUP)
	server.AwaitLog("Reloaded server configuration")
	if out, err := m.publishAs("web2", "web2"); err == nil || !strings.Contains(out, "is it not revoked?") {
		t.Errorf("web2 publishes after it was revoked: %v: %s", err, out)
	}
}

// publishAs publishes a login on a machine with the files that were made for one.
func (m *machine) publishAs(name, on string) (string, error) {
	m.t.Helper()
	folder := m.path("enrolled/machines/" + name)
	var variables []string
	for line := range strings.Lines(read(m.t, filepath.Join(folder, "agent.env"))) {
		line = strings.TrimSpace(strings.ReplaceAll(line, "/etc/rollcall-agent", folder))
		if strings.HasPrefix(line, "NATS_") {
			variables = append(variables, strings.ReplaceAll(line, containersNATS, m.nats))
		}
	}
	p := program.Start(m.t, variables, program.Rollcall(m.t), "publish", "--login", "lane", "--machine", on)
	err := p.Wait()
	return p.Log(), err
}

// containersNATS is the server's address for containers.
const containersNATS = "nats://nats:4222"

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t, project: load(t), dir: t.TempDir()}
	for name := range m.project.Volumes {
		m.mkdir(name)
	}
	m.mkdir("tmp")
	// chown needs root.
	m.mkdir("bin")
	write(t, m.path("bin/chown"), "#!/bin/sh\n")
	return m
}

func (m *machine) path(name string) string { return filepath.Join(m.dir, name) }

func (m *machine) mkdir(name string) {
	m.t.Helper()
	if err := os.Mkdir(m.path(name), 0o755); err != nil {
		m.t.Fatal(err)
	}
}

// here replaces the paths of a service's container in text by those here, and
// the server's address.
func (m *machine) here(s types.ServiceConfig, text string) string {
	targets := slices.Clone(s.Tmpfs)
	if s.Name == "init" { // what it writes down is for containers
		defer func(nats string) { m.nats = nats }(m.nats)
		m.nats = containersNATS
	}
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
	return strings.ReplaceAll(text, containersNATS, m.nats)
}

// environment returns the variables of a service.
func (m *machine) environment(s types.ServiceConfig) []string {
	variables := []string{"PATH=" + m.path("bin") + ":" + os.Getenv("PATH")}
	for name, text := range s.Environment {
		variables = append(variables, name+"="+m.here(s, *text))
	}
	return variables
}

// run runs a service that exits by itself, with its own command, and returns what it printed.
func (m *machine) run(name string) string {
	m.t.Helper()
	return m.runWith(name, m.project.Services[name].Command...)
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
		for i := range words {
			words[i] = m.here(s, words[i])
		}
		words[0] = program.Rollcall(m.t)
	}
	p := program.Start(m.t, m.environment(s), words[0], words[1:]...)
	if err := p.Wait(); err != nil {
		m.t.Fatalf("%s %q: %v\n%s", name, command, err, p.Log())
	}
	return p.Log()
}

// startNATS starts the server with the configuration that prepare has written, on free
// ports, and returns it.
func (m *machine) startNATS() *program.Process {
	m.t.Helper()
	s := m.project.Services["nats"]
	conf := m.path("nats-config/nats-server.conf")
	if want := []string{"--config", "/etc/nats/nats-server.conf"}; !slices.Equal(s.Command, want) || outside(m.t, s, want[1], m.dir) != conf {
		m.t.Fatalf("the server is started with %q", s.Command)
	}
	text := m.here(s, read(m.t, conf))
	address := freeAddress(m.t)
	for from, to := range map[string]string{"0.0.0.0:4222": address, "127.0.0.1:8222": "127.0.0.1:-1"} {
		if strings.Count(text, from) != 1 {
			m.t.Fatalf("%s is not in %s", from, text)
		}
		text = strings.Replace(text, from, to, 1)
	}
	// Beside prepare's, which a later prepare writes anew.
	here := m.path("nats-config/here.conf")
	write(m.t, here, text)
	server := program.Start(m.t, nil, program.Build(m.t, "github.com/nats-io/nats-server/v2"), "--config", here)
	server.AwaitLog("Server is ready")
	m.nats = "nats://" + address
	return server
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
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
	m.runHealthcheck("rollcall", "ROLLCALL_HTTP_ADDR="+strings.TrimPrefix(service.URL, "http://"))
}

func (m *machine) runHealthcheck(name string, variables ...string) {
	m.t.Helper()
	test := m.project.Services[name].HealthCheck.Test
	if len(test) < 2 || test[0] != "CMD" || test[1] != "/rollcall" {
		m.t.Fatalf("%s is asked %q", name, test)
	}
	if p := program.Start(m.t, variables, program.Rollcall(m.t), test[2:]...); p.Wait() != nil {
		m.t.Errorf("%q: %s", test, p.Log())
	}
}

// checkPage makes the user of the page, starts the page on a free port of all addresses, and
// wants it to show the login with the password only.
func (m *machine) checkPage() *program.Process {
	m.t.Helper()
	user, password, _ := strings.Cut(strings.TrimSpace(m.run("web-user")), ": ")
	if user == "" || password == "" {
		m.t.Fatalf("no password is printed: %q: %q", user, password)
	}
	if again := m.run("web-user"); strings.Contains(again, password) || !strings.Contains(again, "already") {
		m.t.Errorf("a second time: %s", again)
	}
	s := m.project.Services["web"]
	_, port, err := net.SplitHostPort(freeAddress(m.t))
	if err != nil {
		m.t.Fatal(err)
	}
	variables := append(m.environment(s), "ROLLCALL_PAGE_ADDR=0.0.0.0:"+port)
	page := program.Start(m.t, variables, program.Rollcall(m.t), s.Command...)
	page.AwaitLog(`"msg":"page"`)
	m.runHealthcheck("web", variables...)
	get := func(password string) (int, string) {
		m.t.Helper()
		r, err := http.NewRequestWithContext(m.t.Context(), http.MethodGet, "http://localhost:"+port+"/machines/web1", nil)
		if err != nil {
			m.t.Fatal(err)
		}
		r.SetBasicAuth(user, password)
		answer, err := (&http.Transport{DisableKeepAlives: true}).RoundTrip(r)
		if err != nil {
			m.t.Fatal(err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil {
			m.t.Fatal(err)
		}
		return answer.StatusCode, string(text)
	}
	program.Eventually(m.t, "the page shows the login", func() bool {
		status, text := get(password)
		return status == http.StatusOK && strings.Contains(text, "lane")
	})
	if status, text := get("wrong"); status != http.StatusUnauthorized || strings.Contains(text, "lane") {
		m.t.Errorf("with a wrong password: %d: %s", status, text)
	}
	return page
}
