package publishers

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

func TestMain(m *testing.M) { program.Main(m) }

// machine has a dot, like most names, and is not the machine that runs the tests.
const machine = "web1.example.com"

// need returns the path of a program, and fails the test if its Debian package is not
// installed.
func need(t *testing.T, name, debian string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%s is missing: apt-get install %s", name, debian)
	}
	return path
}

// install copies files of this folder to a temporary folder, with texts replaced, and
// returns the folder.
func install(t *testing.T, files []string, replaced ...string) string {
	t.Helper()
	folder := t.TempDir()
	for i := 0; i < len(replaced); i += 2 {
		replaced[i+1] = strings.ReplaceAll(replaced[i+1], "FOLDER", folder)
	}
	seen := make([]bool, len(replaced)/2)
	for _, file := range files {
		text := read(t, file)
		for i := range seen {
			seen[i] = seen[i] || strings.Contains(text, replaced[2*i])
		}
		text = strings.NewReplacer(replaced...).Replace(text)
		if err := os.WriteFile(filepath.Join(folder, filepath.Base(file)), []byte(text), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for i := range seen {
		if !seen[i] {
			t.Fatalf("none of %q contains %q", files, replaced[2*i])
		}
	}
	return folder
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// settings returns the replacements for a machine's settings in publisher.env.
func settings(t *testing.T, url string) []string {
	return []string{
		"/usr/local/lib/rollcall", "FOLDER", "/etc/rollcall", "FOLDER",
		"MACHINE=$(uname -n)\n\n", "MACHINE=" + machine + "\nPATH=" + filepath.Dir(program.NATS(t)) + ":$PATH\n\n",
		"NATS_URL=nats://127.0.0.1:4222", "NATS_URL=" + url,
	}
}

// run runs a command with only these variables and PATH, and returns its output.
func run(t *testing.T, variables []string, path string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	cmd.Env = append([]string{"PATH=" + os.Getenv("PATH")}, variables...)
	var out, problem bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &problem
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %q: %v\n%s%s", path, args, err, &out, &problem)
	}
	return out.String()
}

// service is a running rollcall, which the tests ask with its own commands.
type service struct {
	*program.Service
	t         *testing.T
	variables []string
}

func serve(t *testing.T, variables ...string) *service {
	s := program.Serve(t, variables...)
	return &service{s, t, append(variables, "NATS_URL="+s.NATS, "HOME="+t.TempDir())}
}

// ask runs a command of rollcall and returns its output.
func (s *service) ask(args ...string) string {
	s.t.Helper()
	return run(s.t, s.variables, program.Rollcall(s.t), args...)
}

// await waits until the report is as given.
func (s *service) await(report string) {
	s.t.Helper()
	got := "nothing"
	defer func() {
		if got != report {
			s.t.Logf("the report is\n%s, want\n%s; refused:\n%s", got, report, s.ask("deadletters"))
		}
	}()
	program.Eventually(s.t, "the report is as wanted", func() bool {
		got = s.ask("report")
		return got == report
	})
}

// nothingRefused is the line of the metrics if no event was refused.
const nothingRefused = "rollcall_fates{fate=\"dead_lettered\"} 0\n"

// accepted checks that this many events were accepted and none was refused.
func (s *service) accepted(events string) {
	s.t.Helper()
	for _, line := range []string{nothingRefused, "rollcall_position " + events + "\n"} {
		if metrics := s.Get("/metrics"); !strings.Contains(metrics, line) {
			s.t.Errorf("the metrics lack %s; refused: %s", line, s.ask("deadletters"))
		}
	}
}

// has checks that a text contains all of these.
func has(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("%s\nlacks %q", text, w)
		}
	}
}
