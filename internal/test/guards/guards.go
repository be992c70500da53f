// Package guards proves that each guard in the code is needed: it removes one after
// the other and checks that a test fails.
//
// A guard is a check, a bound, an order or a wait whose removal would break a
// promise. A directive above it gives the mutation that removes it, the promise, and
// the test that then fails:
//
//	//guard:drop held "a fork is noticed" TestIncarnations/forked
//	if known && !held {
//
// A directive is on the line above its target: a statement, a case, an element of a
// composite literal, a declaration or a function. A target may have several. The
// operators are
//
//	//guard:drop              removes the target
//	//guard:drop TEXT         removes the operand of && or ||, or the value of a
//	                          case, that contains TEXT; if none does, the argument
//	                          or the element
//	//guard:false             makes its condition, or its last value, false
//	//guard:true              … true
//	//guard:negate            negates it
//	//guard:set OLD NEW       replaces OLD by NEW, an expression or a statement;
//	                          f(...) is f with any arguments
//
// TEXT must be contained in only one of them, or be the beginning of only one; OLD must
// occur once. White space is ignored. Of a statement with a body, only the part before
// the body counts. Arguments with spaces are quoted as Go strings, "so" or `so`. The
// test is an argument of go test -run, in the same package, or
// ./internal/test/faults:TestClosed. What no operator expresses is a patch, in this
// folder.
//
// An ordinary test run only checks that all directives apply. The proof takes some
// seconds for each guard; it runs for those whose names, such as "stream: a fork is
// noticed", match:
//
//	go test ./internal/test/guards -v -timeout 3h -guards .
//	go test ./internal/test/guards -v -timeout 3h -guards . -guards.shard 1/4
//	go test ./internal/test/guards -v -timeout 1h -guards . -guards.changed origin/main
package guards

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"unicode"
)

// Guard is a guard in the code, and how to remove it.
type Guard struct {
	// Name is the package and the promise: "stream: a fork is noticed".
	Name string
	// File is the path of the guard's file in the module, with slashes.
	File string
	// Line is that of the directive; 0 for a patch.
	Line int
	// Package is the folder of the test, such as "./internal/stream", and Test
	// the argument of go test -run.
	Package, Test string

	operator string
	args     []string
	patch    patch
}

// patch is a guard that no operator can remove.
type patch struct {
	// name is the package and what is guarded: "wire: a name twice".
	name string
	// promise is what would be broken without the guard.
	promise string
	// file contains text exactly once. To remove the guard, text is replaced by
	// without; the result must compile.
	file, text, without string
	// test is the package and the pattern of the test that then fails:
	// "./internal/wire TestRefused".
	test string
}

// guard returns the patch as a Guard.
func (p patch) guard() Guard {
	pkg, test, _ := strings.Cut(p.test, " ")
	return Guard{Name: p.name, File: p.file, Package: pkg, Test: test, patch: p}
}

// Without returns the text of the guard's file without the guard.
func (g *Guard) Without(text []byte) ([]byte, error) {
	if g.Line > 0 {
		return mutate(text, g)
	}
	switch n := bytes.Count(text, []byte(g.patch.text)); {
	case n != 1:
		return nil, fmt.Errorf("the file contains %q %d times, want once", g.patch.text, n)
	case g.patch.text == g.patch.without:
		return nil, fmt.Errorf("the patch changes nothing: %q", g.patch.text)
	}
	return bytes.Replace(text, []byte(g.patch.text), []byte(g.patch.without), 1), nil
}

// InModule returns the guards of all directives in a module, by file and line. It skips
// tests, generated files and nested modules.
func InModule(root string) ([]Guard, error) {
	var list []Guard
	var wrong []error
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && skipDir(name):
			return filepath.SkipDir
		case d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go"):
			return nil
		}
		text, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		file, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		found, err := InFile(filepath.ToSlash(file), text)
		list, wrong = append(list, found...), append(wrong, err)
		return nil
	})
	return list, errors.Join(append(wrong, err)...)
}

// skipDir reports whether a folder has no code of the module: a hidden one, testdata, or
// another module.
func skipDir(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || base == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// InFile returns the guards of the valid directives in a file, and an error that lists
// the invalid ones.
func InFile(name string, text []byte) ([]Guard, error) {
	if !bytes.Contains(text, []byte(tool+":")) {
		return nil, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(file) {
		return nil, err
	}
	pkg := file.Name.Name
	if pkg == "main" {
		pkg = path.Base(path.Dir(name))
	}
	var list []Guard
	var wrong []error
	for _, group := range file.Comments {
		for _, comment := range group.List {
			g, err := parse(comment)
			if g == nil && err == nil {
				continue
			}
			line := fset.Position(comment.Slash).Line
			if err != nil {
				wrong = append(wrong, fmt.Errorf("%s:%d: %w", name, line, err))
				continue
			}
			g.Name, g.File, g.Line = pkg+": "+g.Name, name, line
			if g.Package == "" {
				g.Package = "./" + path.Dir(name)
			}
			list = append(list, *g)
		}
	}
	return list, errors.Join(wrong...)
}

// tool is the tool name in directives; see [ast.Directive].
const tool = "guard"

// operators maps each operator to its minimum and maximum number of arguments.
var operators = map[string][2]int{"drop": {0, 1}, "false": {}, "true": {}, "negate": {}, "set": {2, 2}}

// parse parses a directive. It returns nil for any other comment. The guard has no file
// and line yet, its name is only the promise, and its package is empty if it is that of
// the file.
func parse(comment *ast.Comment) (*Guard, error) {
	d, ok := ast.ParseDirective(comment.Slash, comment.Text)
	if !ok || d.Tool != tool {
		if strings.HasPrefix(strings.TrimLeft(comment.Text[len("//"):], " "), tool+":") {
			return nil, fmt.Errorf("%s: a directive begins with //%s:OPERATOR", comment.Text, tool)
		}
		return nil, nil
	}
	words, err := d.ParseArgs()
	if err != nil {
		return nil, err
	}
	takes, known := operators[d.Name]
	n := len(words) - 2
	switch {
	case !known:
		return nil, fmt.Errorf("unknown operator %q", d.Name)
	case n < takes[0] || n > takes[1]:
		return nil, fmt.Errorf("%s needs %d to %d arguments, the promise and the test: %s", d.Name, takes[0], takes[1], comment.Text)
	}
	g := &Guard{Name: words[n].Arg, Test: words[n+1].Arg, operator: d.Name}
	for _, word := range words[:n] {
		g.args = append(g.args, word.Arg)
	}
	if strings.HasPrefix(g.Test, "./") {
		g.Package, g.Test, _ = strings.Cut(g.Test, ":")
	}
	if words := strings.Fields(g.Name); len(words) < 2 || strings.Join(words, " ") != g.Name {
		return nil, fmt.Errorf("%q is not a promise", g.Name)
	}
	if !strings.ContainsFunc(g.Test, unicode.IsUpper) {
		return nil, fmt.Errorf("%q is not a test", g.Test)
	}
	return g, nil
}
