package guards

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// moduleRoot returns the module's folder.
func moduleRoot(t *testing.T) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir
		}
		if dir == filepath.Dir(dir) {
			t.Fatal("no go.mod above the working directory")
		}
		dir = filepath.Dir(dir)
	}
}

// guards returns all guards: those of directives, and the patches.
func guards(t *testing.T, root string) []Guard {
	t.Helper()
	list, err := InModule(root)
	if err != nil {
		t.Error(err)
	}
	for _, p := range patches {
		list = append(list, p.guard())
	}
	return list
}

// TestGuardsApply: every guard can be removed, and its test exists.
func TestGuardsApply(t *testing.T) {
	root := moduleRoot(t)
	seen := make(map[string]bool)
	tests := make(map[string][]string)
	for _, g := range guards(t, root) {
		where := g.where()
		if seen[g.Name] {
			t.Errorf("%s: another guard has this name", where)
		}
		seen[g.Name] = true
		text, err := os.ReadFile(filepath.Join(root, g.File))
		if err != nil {
			t.Errorf("%s: %v", where, err)
			continue
		}
		if without, err := g.Without(text); err != nil {
			t.Errorf("%s: %v", where, err)
		} else if string(without) == string(text) {
			t.Errorf("%s: nothing is removed", where)
		}
		if tests[g.Package] == nil {
			tests[g.Package] = testsIn(t, filepath.Join(root, g.Package))
		}
		for _, name := range missingTests(g.Test, tests[g.Package]) {
			t.Errorf("%s: %s has no test %s", where, g.Package, name)
		}
	}
}

// testsIn returns the names of the tests in a folder.
func testsIn(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && (strings.HasPrefix(f.Name.Name, "Test") || strings.HasPrefix(f.Name.Name, "Fuzz")) {
				names = append(names, f.Name.Name)
			}
		}
	}
	return names
}

// missingTests returns those alternatives of a pattern that match no test. It ignores
// subtests; only the proof shows whether they exist.
func missingTests(pattern string, names []string) []string {
	pattern, _, _ = strings.Cut(pattern, "/")
	all := strings.Join(names, "\n")
	var missing []string
	for name := range strings.SplitSeq(strings.NewReplacer("^(", "", ")$", "").Replace(pattern), "|") {
		if test, err := regexp.Compile("(?m)^" + strings.TrimPrefix(name, "^")); err != nil || !test.MatchString(all) {
			missing = append(missing, name)
		}
	}
	return missing
}
