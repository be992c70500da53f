// Package guards proves that each guard in the code is needed: it takes one away
// after the other and sees that a test fails.
//
// A guard is a check, a bound, an order or a wait whose removal would break a
// promise. A directive above it says how to take it away, the promise, and the
// test that fails then:
//
//	//guard:drop held "a fork is noticed" TestIncarnations/forked
//	if known && !held {
//
// It stands right above a statement, a case, an element of a composite literal, a
// declaration or a function. Several may stand there. The operators are
//
//	//guard:drop              the whole of it is taken away
//	//guard:drop TEXT         one operand of && or ||, or one value of a case; if
//	                          none has TEXT one argument, or one element
//	//guard:false             its condition, or its last value, is false
//	//guard:true              … is true
//	//guard:negate            … is the opposite
//	//guard:set OLD NEW       NEW stands for OLD: an expression, or a statement;
//	                          f(...) is f with any arguments
//
// TEXT is in one of them only, or only one begins with it; OLD is there once. White
// space doesn't matter, and of a statement with a body only what stands before the
// body. Words with spaces are quoted as Go strings, "so" or `so`. The test is what
// go test -run takes, in the same package, or ./internal/test/faults:TestClosed. What no
// operator expresses is a patch, in this folder.
//
// A run of all tests sees only that all of this applies. The proof takes some
// seconds for each guard; it goes through those whose names, such as
// "stream: a fork is noticed", match:
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

// Guard is one of them.
type Guard struct {
	// Name is the package and the promise: "stream: a fork is noticed".
	Name string
	// File is the file of the guard, from the module's folder, with slashes.
	File string
	// Line is that of the directive; 0 for a patch.
	Line int
	// Package is the folder of the test, "./internal/stream", and Test what
	// go test -run takes.
	Package, Test string

	operator string
	args     []string
	patch    patch
}

// patch is a guard that no operator takes away.
type patch struct {
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

// guard returns the guard that a patch is.
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
		return nil, fmt.Errorf("the file has %d times %q, want once", n, g.patch.text)
	case g.patch.text == g.patch.without:
		return nil, fmt.Errorf("the same with and without the guard: %q", g.patch.text)
	}
	return bytes.Replace(text, []byte(g.patch.text), []byte(g.patch.without), 1), nil
}

// InModule returns the guards of all directives in a module, by file and line. Tests
// and generated files have none, nor has a module within it.
func InModule(root string) ([]Guard, error) {
	var list []Guard
	var wrong []error
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && name != root && isApart(name):
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

// isApart says whether the product has no code in a folder.
func isApart(dir string) bool {
	base := filepath.Base(dir)
	if strings.HasPrefix(base, ".") || base == "testdata" {
		return true
	}
	_, err := os.Stat(filepath.Join(dir, "go.mod"))
	return err == nil
}

// InFile returns the guards of the directives in a file: those that are written as
// they should be, and an error about the others.
func InFile(name string, text []byte) ([]Guard, error) {
	if !bytes.Contains(text, []byte(tool+":")) {
		return nil, nil
	}
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil || ast.IsGenerated(file) {
		return nil, err
	}
	room := file.Name.Name
	if room == "main" {
		room = path.Base(path.Dir(name))
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
			g.Name, g.File, g.Line = room+": "+g.Name, name, line
			if g.Package == "" {
				g.Package = "./" + path.Dir(name)
			}
			list = append(list, *g)
		}
	}
	return list, errors.Join(wrong...)
}

// tool is what a directive begins with.
const tool = "guard"

// operators has how many arguments each operator takes, at least and at most.
var operators = map[string][2]int{"drop": {0, 1}, "false": {}, "true": {}, "negate": {}, "set": {2, 2}}

// parse reads a directive. It returns nil for another comment. The guard has no
// place yet, its name is the promise alone, and its package empty if it is that of
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
		return nil, fmt.Errorf("there is no operator %q", d.Name)
	case n < takes[0] || n > takes[1]:
		return nil, fmt.Errorf("%s wants %d to %d words, the promise and the test: %s", d.Name, takes[0], takes[1], comment.Text)
	}
	g := &Guard{Name: words[n].Arg, Test: words[n+1].Arg, operator: d.Name}
	for _, word := range words[:n] {
		g.args = append(g.args, word.Arg)
	}
	if strings.HasPrefix(g.Test, "./") {
		g.Package, g.Test, _ = strings.Cut(g.Test, ":")
	}
	if words := strings.Fields(g.Name); len(words) < 2 || strings.Join(words, " ") != g.Name {
		return nil, fmt.Errorf("%q is no promise", g.Name)
	}
	if !strings.ContainsFunc(g.Test, unicode.IsUpper) {
		return nil, fmt.Errorf("%q is no test", g.Test)
	}
	return g, nil
}
