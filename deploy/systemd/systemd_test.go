package systemd

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

func TestMain(m *testing.M) { program.Main(m) }

const (
	unit    = "rollcall.service"
	webUnit = "rollcall-web.service"
)

// content returns the lines of a file without comments.
func content(t *testing.T, file string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "#") {
			lines = append(lines, line)
		}
	}
	return lines
}

// analyze runs systemd-analyze, which must succeed, and returns its output.
func analyze(t *testing.T, args ...string) string {
	t.Helper()
	path, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Fatal("systemd-analyze is missing: apt-get install systemd")
	}
	out, err := exec.Command(path, args...).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
	}
	return string(out)
}

// starts is how each unit starts its program.
var starts = map[string]string{unit: "/usr/bin/rollcall serve", webUnit: "/usr/bin/rollcall web", "nats-server.service": "/usr/local/bin/nats-server -c /etc/nats/nats-server.conf --addr 0.0.0.0"}

// TestVerify: systemd-analyze finds no fault in the units, with the path of the program
// replaced.
func TestVerify(t *testing.T) {
	for unit, start := range starts {
		text, err := os.ReadFile(unit)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(text), "\nExecStart="+start+"\n") {
			t.Fatalf("%s does not start %s", unit, start)
		}
		installed, _, _ := strings.Cut(start, " ")
		here := strings.ReplaceAll(string(text), "="+installed, "="+program.Rollcall(t))
		path := filepath.Join(t.TempDir(), unit)
		if err := os.WriteFile(path, []byte(here), 0o600); err != nil {
			t.Fatal(err)
		}
		if said := analyze(t, "verify", path); said != "" {
			t.Errorf("systemd-analyze verify prints %s", said)
		}
	}
}

// TestHardened: the units' exposure level is at most 2.0 of 10, which systemd calls OK.
func TestHardened(t *testing.T) {
	for unit := range starts {
		said := analyze(t, "security", "--offline=true", "--threshold=20", unit)
		if !strings.Contains(said, "Overall exposure level for "+unit) {
			t.Errorf("systemd-analyze security prints %s", said)
		}
	}
}

// TestEnvironment: the programs know every variable of the units and of their environment
// files, also those in comments, and accept every value.
func TestEnvironment(t *testing.T) {
	for unit, file := range map[string]string{unit: "rollcall.env", webUnit: "web.env"} {
		dir := t.TempDir()
		var set []string
		for _, line := range content(t, unit) {
			if assignment, ok := strings.CutPrefix(line, "Environment="); ok {
				set = append(set, strings.NewReplacer("%S", dir).Replace(assignment))
			}
		}
		set = append(set, assignments(t, dir, file)...)
		if len(set) < 4 {
			t.Fatalf("only %q", set)
		}
		// All invalid values are reported together, so this must be the only one.
		_, command, _ := strings.Cut(starts[unit], " ")
		p := program.Start(t, append(set, "ROLLCALL_LOG_LEVEL=loud"), program.Rollcall(t), command)
		_ = p.Wait()
		if said := p.Log(); !strings.HasPrefix(said, "rollcall: ROLLCALL_LOG_LEVEL: ") || strings.Count(said, "\n") != 1 {
			t.Errorf("with %q %s prints %s", set, command, said)
		}
	}
}

// assignments returns the assignments of an environment file, also those that are comments.
// The files that they name are made in a folder.
func assignments(t *testing.T, dir, file string) (all []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimPrefix(strings.TrimSpace(line), "#")
		name, value, ok := strings.Cut(line, "=")
		if !ok || strings.ContainsAny(name, " ") {
			continue
		}
		if strings.HasPrefix(value, "/etc/") {
			value = filepath.Join(dir, filepath.Base(value))
			if err := os.WriteFile(value, nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		all = append(all, name+"="+value)
	}
	return all
}
