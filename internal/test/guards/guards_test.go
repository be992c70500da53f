// Package guards proves that each guard in the code is needed: it takes one
// away after the other and sees that a test fails.
//
// A guard is a check, a bound, an order or a wait whose removal would break a
// promise. The lists in this folder say for each one where it stands, what the
// code is without it, and the test that notices. A run of all tests sees only
// that every guard still stands where the list says. The proof, which takes some
// seconds for each, goes through those guards whose names match:
//
//	go test ./internal/test/guards -v -timeout 3h -guards .
//	go test ./internal/test/guards -v -guards '^wire: '
package guards

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var proof = flag.String("guards", "", "take away the guards whose names match this regular expression, and see that their tests fail")

// root is the module's folder.
const root = "../../.."

// guard is one of them.
type guard struct {
	// name is the package, and what is guarded: "wire: a name twice".
	name string
	// promise is what would be broken without it.
	promise string
	// file has the text exactly once. Without the guard the text reads as
	// without, and all of it still compiles.
	file, text, without string
	// test is the package and the pattern of the test that fails then:
	// "./internal/wire TestRefused".
	test string
}

// guards returns all of them, in the order of an event's path.
func guards() []guard {
	return slices.Concat(contractGuards, wireGuards, streamGuards, ingestGuards, rosterGuards,
		snapshotGuards, reportGuards, queryGuards, pastGuards, changesGuards, metricsGuards, brokerGuards, throttleGuards, commandGuards)
}

// TestGuardsStand: every guard is where its list says, once, and so is its test.
func TestGuardsStand(t *testing.T) {
	seen := make(map[string]bool)
	for _, g := range guards() {
		if seen[g.name] {
			t.Errorf("%s: listed twice", g.name)
		}
		seen[g.name] = true
		if _, err := g.taken(root); err != nil {
			t.Errorf("%s: %v", g.name, err)
		}
		for _, name := range g.tests() {
			if pkg, _ := g.where(); !strings.Contains(source(t, pkg), "\nfunc "+name) {
				t.Errorf("%s: %s has no %s", g.name, pkg, name)
			}
		}
	}
}

// tests returns what the names of the guard's tests begin with.
func (g *guard) tests() []string {
	_, pattern := g.where()
	pattern, _, _ = strings.Cut(pattern, "/")
	return strings.Split(strings.Trim(pattern, "^()$"), "|")
}

// source returns the text of a package's tests.
func source(t *testing.T, pkg string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(root, pkg, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(b)
	}
	return text.String()
}

// TestGuardsAreNeeded is the proof.
func TestGuardsAreNeeded(t *testing.T) {
	if *proof == "" {
		return // it takes long
	}
	wanted := regexp.MustCompile(*proof)
	list := slices.DeleteFunc(guards(), func(g guard) bool { return !wanted.MatchString(g.name) })
	if len(list) == 0 {
		t.Fatalf("no guard's name matches %q", *proof)
	}
	m := copyModule(t)
	for pkg, tests := range testsOf(list) {
		m.mustPass(t, pkg, tests)
	}
	for _, g := range list {
		t.Run(g.name, func(t *testing.T) { m.prove(t, &g) })
	}
}

// testsOf returns the patterns of the tests of each package: of all that name
// no subtests one together.
func testsOf(list []guard) map[string][]string {
	tests, whole := make(map[string][]string), make(map[string][]string)
	for _, g := range list {
		pkg, pattern := g.where()
		in := whole
		if strings.Contains(pattern, "/") {
			in = tests
		}
		if !slices.Contains(in[pkg], pattern) {
			in[pkg] = append(in[pkg], pattern)
		}
	}
	for pkg, patterns := range whole {
		tests[pkg] = append(tests[pkg], strings.Join(patterns, "|"))
	}
	return tests
}

// where returns the package and the pattern of the guard's test.
func (g *guard) where() (pkg, pattern string) {
	pkg, pattern, _ = strings.Cut(g.test, " ")
	return pkg, pattern
}

// taken returns the guard's file in a module, without the guard.
func (g *guard) taken(module string) ([]byte, error) {
	b, err := os.ReadFile(filepath.Join(module, g.file))
	if err != nil {
		return nil, err
	}
	switch n := strings.Count(string(b), g.text); {
	case n != 1:
		return nil, &misplaced{g.file, g.text, n}
	case g.text == g.without:
		return nil, &misplaced{g.file, g.without, n}
	}
	return []byte(strings.Replace(string(b), g.text, g.without, 1)), nil
}
