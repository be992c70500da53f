package guards

import (
	"go/format"
	"strings"
	"testing"
)

// function returns a file with a function that has this body.
func function(body string) string {
	return "package stream\n\nimport (\n\t\"errors\"\n\t\"fmt\"\n)\n\nvar _ = fmt.Sprint\n\nfunc f(a, b, c bool, n int) error {\n" + body + "\n\treturn errors.New(\"x\")\n}\n"
}

// without returns the text with the last of its guards removed, formatted and without
// comments.
func without(t *testing.T, text string) (string, error) {
	t.Helper()
	list, err := InFile("internal/stream/x.go", []byte(text))
	if err != nil {
		return "", err
	}
	if len(list) == 0 {
		t.Fatal("the file has no directive")
	}
	b, err := list[len(list)-1].Without([]byte(text))
	if err != nil {
		return "", err
	}
	return plain(t, string(b)), nil
}

func plain(t *testing.T, text string) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(text) {
		if !strings.HasPrefix(strings.TrimSpace(line), "//") {
			lines = append(lines, line)
		}
	}
	b, err := format.Source([]byte(strings.Join(lines, "")))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return string(b)
}

func TestOperators(t *testing.T) {
	for _, c := range []struct{ name, directive, text, want string }{
		{"false", `false`, "if n := n + 1; n > 2 {\n}", "if n := n + 1; false && (n > 2) {\n}"},
		{"true", `true`, "if a && b {\n}", "if true || (a && b) {\n}"},
		{"negate", `negate`, "for a {\n}", "for !(a) {\n}"},
		{"false of a case", `false`, "case a, b && c:\n\treturn nil", "case false && ((a) || (b && c)):\n\treturn nil"},
		{"true of an assignment", `true`, "a = b", "a = true || (b)"},
		{"false of a return", `false`, "return n, a", "return n, false && (a)"},
		{"negate of an element", `negate`, "\"x\": a,", "\"x\": !(a),"},
		{"drop an operand of &&", `drop b`, "if a && b && c {\n}", "if a && (true || (b)) && c {\n}"},
		{"drop an operand of ||", `drop c`, "if a && (b || c) {\n}", "if a && (b || (false && (c))) {\n}"},
		{"drop operands together", `drop "b || c"`, "if a && (b || c) {\n}", "if a && (true || (b || c)) {\n}"},
		{"swapped", `drop held`, "if !held && known {\n}", "if (true || (!held)) && known {\n}"},
		{"on several lines", `drop "n>2"`, "if a &&\n\tn > 2 {\n}", "if a &&\n\t(true || (n > 2)) {\n}"},
		{"what an operand begins with", `drop "n >"`, "if n > 2 && n < f(n > 2) {\n}", "if (true || (n > 2)) && n < f(n > 2) {\n}"},
		{"a return's operand", `drop b`, "return a || b", "return a || (false && (b))"},
		{"a case's operand", `drop b`, "case a, b:\n\treturn nil", "case a:\n\treturn nil"},
		{"a case's first operand", `drop a`, "case a, b:\n\treturn nil", "case b:\n\treturn nil"},
		{"an argument", `drop known`, "n = f(a, known(b))", "n = f(a)"},
		{"a first argument", `drop a`, "n = f(a,\n\tb,\n)", "n = f(b)"},
		{"an only argument", `drop a`, "n = f(\n\ta,\n)", "n = f()"},
		{"arguments", `drop known`, "n = append(l, known(b)...)", "n = append(l)"},
		{"an element", `drop Unread`, "r.fold(&Batch{End: b, Unread: true})", "r.fold(&Batch{End: b})"},
		{"an operand, not an argument", `drop a`, "if f(a) && b {\n}", "if (true || (f(a))) && b {\n}"},
		{"drop a statement", `drop`, "f(\n\ta,\n)", "if false {\n\tf(\n\t\ta,\n\t)\n}"},
		{"drop a defer", `drop`, "defer f()", "if false {\n\tdefer f()\n}"},
		{"drop an assignment", `drop`, "n = 3", "if false {\n\tn = 3\n}"},
		{"drop a case", `drop`, "case a:\n\treturn nil", ""},
		{"drop an element", `drop`, "\"x\": a,", ""},
		{"drop a label's statement", `drop`, "again:\n\tfor a {\n\t}", "again:\n\tif false {\n\t\tfor a {\n\t\t}\n\t}"},
		{"set", `set 64 1<<30`, "n = 2 * 64", "n = 2 * 1 << 30"},
		{"set in a condition", `set "n > 2" "n > 3"`, "if n>2 {\n\tn = n + 2\n}", "if n > 3 {\n\tn = n + 2\n}"},
		{"set a call", "set `f(\"x\", b)` nil", "n = f(\n\t\"x\",\n\tb,\n)", "n = nil"},
		{"set a call of any arguments", `set s.confirm(...) error(nil)`, "if err := s.confirm(a, f(b)); err != nil {\n}", "if err := error(nil); err != nil {\n}"},
		{"what is in the body", `set "return nil" continue`, "for {\n}\nreturn nil", ""},
		{"set a statement", `set "f(a)" "return nil"`, "f(a)", "return nil"},
		{"a variable", `set n nil`, "x := f(n)", "x := f(nil)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			wrap := func(text string) string {
				switch {
				case strings.HasPrefix(c.text, "case"):
					text = "switch {\n" + text + "\ncase c:\n}"
				case strings.HasPrefix(c.text, `"x"`):
					text = "m = map[string]bool{\n" + text + "\n}"
				}
				return function("if false {\n}\n" + text)
			}
			got, err := without(t, wrap("//guard:"+c.directive+" \"a promise\" TestX\n"+c.text))
			if c.want == "" && c.directive != "drop" {
				if err == nil {
					t.Fatalf("got no error, but\n%s", got)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if want := plain(t, wrap(c.want)); squeeze(got) != squeeze(want) {
				t.Errorf("got\n%s\nwant\n%s", got, want)
			}
		})
	}
}

// TestTargets: what a directive may apply to.
func TestTargets(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a constant", "package x\n\nconst (\n\ta = 1\n\t//guard:set 64 65 \"a promise\" TestX\n\tb = 64\n)\n", "b = 65"},
		{"a declaration", "package x\n\n// Size is one.\n//\n//guard:set 64 65 \"a promise\" TestX\nconst size = 64\n", "size = 65"},
		{"a function", "package x\n\n//guard:set a b \"a promise\" TestX\nfunc f() { return a }\n", "return b"},
		{"a field", "package x\n\ntype s struct {\n\t//guard:set 64 65 \"a promise\" TestX\n\tb [64]byte\n}\n", "[65]byte"},
		{"several", function("//guard:drop b \"a promise\" TestX\n//guard:drop c \"another one\" TestX\nif a && b && c {\n}"), "if a && b && (true || (c))"},
		{"with a comment", function("// Why.\n//guard:drop b \"a promise\" TestX\nif a && b {\n}"), "a && (true || (b))"},
		{"a select's case", function("select {\ncase <-x:\n//guard:set y z \"a promise\" TestX\ncase <-y:\n}"), "case <-z:"},
		{"an element without a key", "package x\n\nvar l = []int{\n\t1,\n\t//guard:drop \"a promise\" TestX\n\t2,\n}\n", "1,\n\n}"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := without(t, c.text)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(squeeze(got), squeeze(c.want)) {
				t.Errorf("got\n%s\nwant it to contain\n%s", got, c.want)
			}
		})
	}
}

// TestKeepReferences: a variable or import of which a mutation removes the last use is
// still used.
func TestKeepReferences(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"a variable", "x := f()\n//guard:set x 1 \"a promise\" TestX\nn = x", "x := f(); _ = x\n n = 1"},
		{"a variable of an if", "//guard:set \"x != 0\" false \"a promise\" TestX\nif x := f(); x != 0 {\n}", "if x := f(); false { _ = x"},
		{"a variable of a range", "for _, x := range f() {\n//guard:set x 1 \"a promise\" TestX\nn = x\n}", "range f() { _ = x\n n = 1"},
		{"a variable of another function", "func() {\nx := 1\nf(x)\n}()\n//guard:set x 1 \"a promise\" TestX\nn = x", "x := 1\nf(x)"},
		{"an import", "//guard:set errors.ErrUnsupported nil \"a promise\" TestX\nreturn errors.ErrUnsupported\n}\nfunc g() error {", `_"errors"`},
		{"an import that is used", "//guard:set fmt.Sprint(a) c \"a promise\" TestX\nc = fmt.Sprint(a)", "import (\n\"errors\"\n\"fmt\"\n)"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := without(t, strings.Replace(function(c.text), "errors.New(\"x\")", "nil", 1))
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(strings.ReplaceAll(squeeze(got), ";", ""), strings.ReplaceAll(squeeze(c.want), ";", "")) {
				t.Errorf("got\n%s\nwant it to contain\n%s", got, c.want)
			}
		})
	}
}

func TestWrongDirectives(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"with a space", "// guard:false \"a promise\" TestX\nif a {\n}", "a directive begins with //guard:OPERATOR"},
		{"without an operator", "//guard:\"a promise\" TestX\nif a {\n}", "a directive begins with //guard:OPERATOR"},
		{"an unknown operator", "//guard:delete \"a promise\" TestX\nif a {\n}", `unknown operator "delete"`},
		{"too few words", "//guard:set 1 \"a promise\" TestX\nn = 1", "set needs 2 to 2 arguments, the promise and the test"},
		{"too many words", "//guard:false x \"a promise\" TestX\nn = 1", "false needs 0 to 0 arguments, the promise and the test"},
		{"no promise", "//guard:drop TestX\nn = 1", "drop needs 0 to 1 arguments, the promise and the test"},
		{"no promise, but a word", "//guard:drop n TestX\nn = 1", `"n" is not a promise`},
		{"no test", "//guard:drop n \"a promise\"\nn = 1", `"n" is not a promise`},
		{"a promise for a test", "//guard:drop \"a promise\" \"another one\"\nn = 1", `"another one" is not a test`},
		{"a missing quote", "//guard:drop \"a promise TestX\nn = 1", "invalid quoted string"},
		{"above nothing", "//guard:false \"a promise\" TestX\n\nif a {\n}", errNoTarget.Error()},
		{"above the end", "if a {\n//guard:false \"a promise\" TestX\n}", errNoTarget.Error()},
		{"beside it", "if a { //guard:false \"a promise\" TestX\n\n}", errNoTarget.Error()},
		{"no condition", "//guard:false \"a promise\" TestX\nfor {\n}", "the target has no condition and no value"},
		{"a default", "switch {\n//guard:false \"a promise\" TestX\ndefault:\n}", "the target has no condition and no value"},
		{"a case of a value", "switch n {\n//guard:false \"a promise\" TestX\ncase 1:\n}", "the target has no condition and no value"},
		{"a declaration is dropped", "//guard:drop \"a promise\" TestX\nx := 1", "a declaration cannot be dropped"},
		{"no such operand", "//guard:drop c \"a promise\" TestX\nif a && b {\n\tf(a && c)\n}", `0 operands or elements contain "c", want one`},
		{"two such operands", "//guard:drop a \"a promise\" TestX\nif a || b && a {\n}", `2 operands or elements contain "a", want one`},
		{"no such expression", "//guard:set c d \"a promise\" TestX\nif a && b {\n\tc()\n}", `the target contains "c" 0 times, want once`},
		{"two such expressions", "//guard:set a b \"a promise\" TestX\nif a && a {\n}", `the target contains "a" 2 times, want once`},
		{"set to the same", "//guard:set a+b \"a + b\" \"a promise\" TestX\nn = a + b", `"a + b" changes nothing`},
		{"set to invalid Go", "//guard:set a && \"a promise\" TestX\nn = a", "invalid Go without the guard"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := without(t, function(c.text))
			if err == nil {
				t.Fatalf("got no error, but\n%s", got)
			}
			if !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %q, want it to contain %q", err, c.want)
			}
		})
	}
}
