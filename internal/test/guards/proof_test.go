package guards

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// misplaced says that a text is not in a file exactly once.
type misplaced struct {
	file, text string
	count      int
}

func (m *misplaced) Error() string {
	return fmt.Sprintf("%s has %d times %q, want once, and something else without the guard", m.file, m.count, m.text)
}

// module is a copy of the module, from which guards may be taken away.
type module struct{ dir string }

// copyModule copies all that Go and the tests read.
func copyModule(t *testing.T) module {
	t.Helper()
	m := module{t.TempDir()}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		name, _ := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "rollcall-data"):
			return filepath.SkipDir
		case d.IsDir():
			return os.MkdirAll(filepath.Join(m.dir, name), 0o755)
		case !d.Type().IsRegular():
			return nil
		}
		b, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(m.dir, name), b, 0o755)
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// mustPass runs the tests of a package with all guards in place: where one
// fails anyway, it proves nothing.
func (m module) mustPass(t *testing.T, pkg string, patterns []string) {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "test")
	if out, err := m.run(".", "go", "test", "-c", "-o", binary, pkg); err != nil {
		t.Fatalf("%s, with all guards: %v\n%s", pkg, err, out)
	}
	for _, pattern := range patterns {
		out, err := m.run(pkg, binary, "-test.v", "-test.run="+pattern)
		if err != nil || !ran.MatchString(out) {
			t.Errorf("%s %s, with all guards: %v\n%s", pkg, pattern, err, out)
		}
	}
}

// prove takes a guard away, wants its test to fail, and puts it back.
func (m module) prove(t *testing.T, g *guard) {
	path := filepath.Join(m.dir, g.file)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	without, err := g.taken(m.dir)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(path, before, 0o644); err != nil {
			t.Fatal(err)
		}
	}()
	if err := os.WriteFile(path, without, 0o644); err != nil {
		t.Fatal(err)
	}
	// Else a test that builds the program would fail for that.
	if out, err := m.run(".", "go", "list", "-export", "-f", "{{with .Error}}{{.}}{{end}}", "./"+filepath.Dir(g.file)); err != nil {
		t.Fatalf("it does not compile without the guard:\n%s", out)
	}
	began := time.Now()
	out, err := m.test(g.where())
	if err == nil {
		t.Fatalf("%s passes without the guard", g.test)
	}
	told := firstFailure(out)
	if told == "" {
		t.Fatalf("%s didn't fail by itself: %v\n%s", g.test, err, out)
	}
	t.Logf("%s (%v)", told, time.Since(began).Round(100*time.Millisecond))
}

// testTimeout is for one test without its guard: some only hang then.
const testTimeout = "2m"

// ran matches the verdict of a test.
var ran = regexp.MustCompile(`(?m)^\s*--- (PASS|FAIL): `)

func (m module) test(pkg, pattern string) (string, error) {
	return m.run(".", "go", "test", "-v", "-count=1", "-vet=off", "-timeout="+testTimeout, "-run", pattern, pkg)
}

// run runs a command in a folder of the module, and returns all that it
// prints.
func (m module) run(dir, name string, args ...string) (string, error) {
	cmd := exec.Command(name, args...)
	cmd.Dir = filepath.Join(m.dir, dir)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var (
	// failure matches the verdict of a test that failed, and panic how one
	// ends that could not.
	failure = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)
	ending  = regexp.MustCompile(`^(panic: .*|fatal error: .*|.*goleak: Errors.*)`)
	// message matches what a test tells.
	message = regexp.MustCompile(`^\s+(\w+_test\.go:\d+: .*)`)
)

// firstFailure returns, on one line, the test that failed and what it told
// first; "" when none did.
func firstFailure(out string) string {
	var name, told string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if end := ending.FindString(line); end != "" {
			return cut(end)
		}
		if m := message.FindStringSubmatch(line); m != nil {
			told = m[1]
		}
		if m := failure.FindStringSubmatch(line); m != nil && len(m[1]) > len(name) {
			name = m[1]
		}
	}
	if name == "" {
		return ""
	}
	return cut(name + ": " + told)
}

func cut(line string) string {
	const most = 200
	return line[:min(len(line), most)]
}
