package guards

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	proof   = flag.String("guards", "", "remove the guards whose names match this `regexp`, one by one, and check that their tests fail")
	shard   = flag.String("guards.shard", "", "only the part `i/n` of the guards, such as 1/4")
	changed = flag.String("guards.changed", "", "only guards whose package, or whose test's package, differs from a git `revision`; those in changed files first")
	within  = flag.Duration("guards.within", 0, "start no further guard after this `time`")
	timeout = flag.Duration("guards.timeout", 2*time.Minute, "the `time` limit of a test without its guard: some tests then hang")
)

// where returns the location and name of the guard, for failures.
func (g *Guard) where() string {
	if g.Line == 0 {
		return fmt.Sprintf("patch %q in %s", g.Name, g.File)
	}
	return fmt.Sprintf("%s:%d: %q", g.File, g.Line, g.Name)
}

// TestGuardsAreNeeded is the proof: without a guard, its test fails.
func TestGuardsAreNeeded(t *testing.T) {
	if *proof == "" {
		return // it takes hours
	}
	began := time.Now()
	root := moduleRoot(t)
	list := chosen(t, root, guards(t, root))
	if len(list) == 0 {
		t.Logf("no guards match -guards=%s -guards.shard=%s -guards.changed=%s", *proof, *shard, *changed)
		if *shard == "" && *changed == "" {
			t.Fail()
		}
		return
	}
	m := copyModule(t, root)
	m.mustPass(t, list)
	for i, g := range list {
		if *within > 0 && time.Since(began) > *within {
			t.Logf("stopping after %v: %d of %d guards are not proved", *within, len(list)-i, len(list))
			return
		}
		t.Run(g.Name, func(t *testing.T) { m.prove(t, &g) })
	}
}

// chosen returns the guards that the flags select.
func chosen(t *testing.T, root string, list []Guard) []Guard {
	t.Helper()
	wanted, err := regexp.Compile(*proof)
	if err != nil {
		t.Fatal(err)
	}
	list = slices.DeleteFunc(list, func(g Guard) bool { return !wanted.MatchString(g.Name) })
	if *shard != "" {
		var i, n uint32
		if _, err := fmt.Sscanf(*shard+"\n", "%d/%d\n", &i, &n); err != nil || i < 1 || i > n {
			t.Fatalf("-guards.shard is %q, want i/n with i from 1 to n", *shard)
		}
		list = slices.DeleteFunc(list, func(g Guard) bool { return shardOf(&g, n) != i })
	}
	if *changed != "" {
		files, err := differing(root, *changed)
		if err != nil {
			t.Fatal(err)
		}
		list = touched(list, files)
	}
	return list
}

// shardOf returns the shard of a guard, from 1 to n. It depends only on the guard's
// name.
func shardOf(g *Guard, n uint32) uint32 {
	h := fnv.New32a()
	h.Write([]byte(g.Name))
	return h.Sum32()%n + 1
}

// differing returns the files that differ from a revision, including untracked ones.
func differing(root, revision string) ([]string, error) {
	var files []string
	for _, args := range [][]string{
		{"diff", "--name-only", "--relative", revision, "--"},
		{"ls-files", "--others", "--exclude-standard"},
	} {
		cmd := exec.Command("git", args...)
		cmd.Dir = root
		out, err := cmd.Output()
		if err != nil {
			var exit *exec.ExitError
			if errors.As(err, &exit) {
				err = fmt.Errorf("%w: %s", err, exit.Stderr)
			}
			return nil, fmt.Errorf("git %s: %w", strings.Join(args, " "), err)
		}
		files = append(files, strings.Fields(string(out))...)
	}
	return files, nil
}

// touched returns the guards that a change of some files concerns: first those in these
// files, then those in the same packages, then those whose tests are in these packages.
func touched(list []Guard, files []string) []Guard {
	const own, pkg, test, not = 0, 1, 2, 3
	folders := make(map[string]bool)
	for _, file := range files {
		for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
			folders[dir] = true // parents too: testdata belongs to the package above it
		}
	}
	how := func(g Guard) int {
		switch {
		case slices.Contains(files, g.File):
			return own
		case folders[path.Dir(g.File)]:
			return pkg
		case folders[path.Clean(g.Package)]:
			return test
		}
		return not
	}
	list = slices.DeleteFunc(slices.Clone(list), func(g Guard) bool { return how(g) == not })
	slices.SortStableFunc(list, func(a, b Guard) int { return cmp.Compare(how(a), how(b)) })
	return list
}

// module is a copy of the module, from which guards can be removed.
type module struct {
	dir string
	// binary is the path of the test binary that was built last.
	binary string
}

// copyModule copies everything that Go and the tests read.
func copyModule(t *testing.T, root string) module {
	t.Helper()
	m := module{dir: t.TempDir()}
	m.binary = filepath.Join(t.TempDir(), "test.exe")
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

// mustPass runs the tests of some guards with all guards in place: a test that fails
// then would prove nothing.
func (m module) mustPass(t *testing.T, list []Guard) {
	t.Helper()
	for pkg, patterns := range testsOf(list) {
		if out, err := m.build(pkg); err != nil {
			t.Fatalf("%s does not compile, with all guards: %v\n%s", pkg, err, out)
		}
		for _, pattern := range patterns {
			ran := passed
			if strings.Contains(pattern, "/") {
				ran = subtestPassed
			}
			out, err := m.test(pkg, pattern, 10**timeout)
			if err != nil || !ran.MatchString(out) {
				t.Errorf("%s %s, with all guards: %v\n%s", pkg, pattern, err, out)
			}
		}
	}
}

var (
	passed        = regexp.MustCompile(`(?m)^\s*--- PASS: `)
	subtestPassed = regexp.MustCompile(`(?m)^\s*--- PASS: \S+/`)
)

// testsOf returns, by package, the patterns of the tests to run. Patterns without a
// subtest are joined into one.
func testsOf(list []Guard) map[string][]string {
	tests, whole := make(map[string][]string), make(map[string][]string)
	for _, g := range list {
		in := whole
		if strings.Contains(g.Test, "/") {
			in = tests
		}
		if !slices.Contains(in[g.Package], g.Test) {
			in[g.Package] = append(in[g.Package], g.Test)
		}
	}
	for pkg, patterns := range whole {
		tests[pkg] = append(tests[pkg], strings.Join(patterns, "|"))
	}
	return tests
}

// prove removes a guard, requires its test to fail, and restores the guard.
func (m module) prove(t *testing.T, g *Guard) {
	name := filepath.Join(m.dir, g.File)
	before, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	without, err := g.Without(before)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := os.WriteFile(name, before, 0o644); err != nil {
			t.Fatal(err)
		}
	}()
	if err := os.WriteFile(name, without, 0o644); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	symptom, err := m.detect(g)
	if err != nil {
		t.Fatalf("%s: %v", g.where(), err)
	}
	t.Logf("%s (%v)", symptom, time.Since(began).Round(100*time.Millisecond))
}

// detect runs the guard's test without the guard and returns how the test fails.
func (m module) detect(g *Guard) (string, error) {
	if folder := "./" + path.Dir(g.File); folder != g.Package {
		// Otherwise a test that builds the program would fail because of that.
		if out, err := m.run(".", compileTimeout, "go", "list", "-export", "-f", "{{with .Error}}{{.}}{{end}}", folder); err != nil {
			return "", fmt.Errorf("it does not compile without the guard: %w\n%s", err, out)
		}
	}
	if out, err := m.build(g.Package); err != nil {
		return "", fmt.Errorf("it does not compile without the guard: %w\n%s", err, out)
	}
	return verdict(m.test(g.Package, g.Test, *timeout))
}

// verdict returns how a test failed without its guard, from its output and its error.
func verdict(out string, err error) (string, error) {
	failed := firstFailure(out)
	switch {
	case err == nil:
		return "", errors.New("its test passes without the guard")
	case errors.Is(err, context.DeadlineExceeded), strings.HasPrefix(failed, timedOut):
		return "timed out", nil
	case failed == "":
		return "", fmt.Errorf("its test did not run to a failure: %w\n%s", err, out)
	}
	return failed, nil
}

// build builds the binary of a package's tests.
func (m module) build(pkg string) (string, error) {
	return m.run(".", compileTimeout, "go", "test", "-c", "-vet=off", "-o", m.binary, pkg)
}

// test runs tests of the binary that was built last, with a timeout; if it does not end
// by itself then, it is killed a little later.
func (m module) test(pkg, pattern string, most time.Duration) (string, error) {
	return m.run(pkg, most+most/4, m.binary, "-test.v", "-test.count=1", "-test.timeout="+most.String(), "-test.run="+pattern)
}

// compileTimeout is long enough for a compiler on a busy machine.
const compileTimeout = 20 * time.Minute

// run runs a command in a folder of the module, and returns its output. It is killed
// after most.
func (m module) run(dir string, most time.Duration, name string, args ...string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = filepath.Join(m.dir, dir)
	cmd.Env = append(os.Environ(), "TEST_FULL=1") // some tests run at full length only
	cmd.WaitDelay = time.Second                   // its children may keep the output open
	out, err := cmd.CombinedOutput()
	if err != nil && ctx.Err() != nil {
		err = ctx.Err()
	}
	return string(out), err
}

// timedOut is what the testing package prints when a test times out.
const timedOut = "panic: test timed out"

var (
	// failure matches the result line of a failed test, and ending the last words
	// of a process that crashed.
	failure = regexp.MustCompile(`^\s*--- FAIL: (\S+)`)
	ending  = regexp.MustCompile(`^(panic: .*|fatal error: .*|.*goleak: Errors.*)`)
	// message matches a line that a test logs.
	message = regexp.MustCompile(`^\s+(\w+_test\.go:\d+: .*)`)
)

// firstFailure returns, on one line, the test that failed and what it logged; "" if none
// failed.
func firstFailure(out string) string {
	var name, logged string
	for line := range strings.Lines(out) {
		line = strings.TrimRight(line, "\n")
		if end := ending.FindString(line); end != "" {
			return cut(end)
		}
		if m := message.FindStringSubmatch(line); m != nil {
			logged = m[1]
		}
		if m := failure.FindStringSubmatch(line); m != nil && len(m[1]) > len(name) {
			name = m[1]
		}
	}
	if name == "" {
		return ""
	}
	return cut(name + ": " + logged)
}

func cut(line string) string {
	const most = 200
	return line[:min(len(line), most)]
}
