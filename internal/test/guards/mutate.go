package guards

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"path"
	"slices"
	"strings"
)

// source is a parsed file to mutate.
type source struct {
	text []byte
	fset *token.FileSet
	file *ast.File
}

func parseSource(text []byte) (*source, error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "", text, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	return &source{text, fset, file}, nil
}

// edit replaces the bytes from one offset to another by a text.
type edit struct {
	from, to int
	text     string
}

// apply returns the text with all edits applied, which must not overlap.
func (s *source) apply(edits ...edit) []byte {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.from - b.from })
	var b []byte
	at := 0
	for _, e := range edits {
		b = append(append(b, s.text[at:e.from]...), e.text...)
		at = e.to
	}
	return append(b, s.text[at:]...)
}

func (s *source) offset(pos token.Pos) int { return s.fset.Position(pos).Offset }

func (s *source) line(pos token.Pos) int { return s.fset.Position(pos).Line }

func (s *source) textOf(n ast.Node) string {
	return string(s.text[s.offset(n.Pos()):s.offset(n.End())])
}

// replace returns the edit that replaces a node by a text, in which %s stands for the
// node.
func (s *source) replace(n ast.Node, text string) edit {
	return edit{s.offset(n.Pos()), s.offset(n.End()), strings.ReplaceAll(text, "%s", s.textOf(n))}
}

// mutate returns the text of a file with the guard of one of its directives removed.
func mutate(text []byte, g *Guard) ([]byte, error) {
	s, err := parseSource(text)
	if err != nil {
		return nil, err
	}
	t, err := s.target(g.Line)
	if err != nil {
		return nil, err
	}
	e, err := s.edit(t, g)
	if err != nil {
		return nil, err
	}
	without, err := s.keepReferences(e)
	if err != nil {
		return nil, fmt.Errorf("invalid Go without the guard: %w", err)
	}
	return without, nil
}

// edit returns the edit of the guard's operator on its target.
func (s *source) edit(t target, g *Guard) (edit, error) {
	switch g.operator {
	case "drop":
		if len(g.args) == 0 {
			return s.drop(t)
		}
		return s.dropPart(t, g.args[0])
	case "set":
		return s.set(t, g.args[0], g.args[1])
	case "negate":
		return s.force(t, "!(%s)")
	case "true":
		return s.force(t, "true || (%s)")
	case "false":
		return s.force(t, "false && (%s)")
	}
	return edit{}, fmt.Errorf("unknown operator %q", g.operator)
}

// target is the node that a directive applies to, and its ancestors, outermost first.
type target struct {
	node      ast.Node
	ancestors []ast.Node
}

var errNoTarget = errors.New("the next line begins no statement, case, element or declaration")

// target returns the target of the directive on a line: the outermost node that begins
// on the line after the comment.
func (s *source) target(line int) (target, error) {
	i := slices.IndexFunc(s.file.Comments, func(c *ast.CommentGroup) bool {
		return s.line(c.Pos()) <= line && line <= s.line(c.End())
	})
	if i < 0 {
		return target{}, errNoTarget
	}
	end := s.file.Comments[i].End()
	var found target
	var stack []ast.Node
	ast.Inspect(s.file, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		if n.Pos() > end && isTarget(n, stack) && (found.node == nil || n.Pos() < found.node.Pos()) {
			found = target{n, slices.Clone(stack)}
		}
		stack = append(stack, n)
		return true
	})
	if found.node == nil || s.line(found.node.Pos()) != s.line(end)+1 {
		return target{}, errNoTarget
	}
	switch n := found.node.(type) {
	case *ast.LabeledStmt:
		found = target{n.Stmt, append(found.ancestors, n)}
	case *ast.GenDecl:
		if !n.Lparen.IsValid() {
			found = target{n.Specs[0], append(found.ancestors, n)}
		}
	}
	return found, nil
}

// isTarget reports whether a directive may apply to a node.
func isTarget(n ast.Node, around []ast.Node) bool {
	switch n.(type) {
	case *ast.BlockStmt, *ast.EmptyStmt, *ast.ImportSpec:
		return false
	case ast.Stmt, ast.Spec, ast.Decl, *ast.Field:
		return true
	case ast.Expr:
		literal, ok := around[len(around)-1].(*ast.CompositeLit)
		return ok && n != literal.Type
	}
	return false
}

// head returns the end of the part of the target that operators consider: the part
// before its body, if it has one.
func (t target) head() token.Pos {
	switch n := t.node.(type) {
	case *ast.IfStmt:
		return n.Body.Lbrace
	case *ast.ForStmt:
		return n.Body.Lbrace
	case *ast.RangeStmt:
		return n.Body.Lbrace
	case *ast.SwitchStmt:
		return n.Body.Lbrace
	case *ast.TypeSwitchStmt:
		return n.Body.Lbrace
	case *ast.SelectStmt:
		return n.Body.Lbrace
	case *ast.CaseClause:
		return n.Colon
	case *ast.CommClause:
		return n.Colon
	}
	return t.node.End()
}

// inspect calls f for the nodes of the target's head.
func (t target) inspect(f func(ast.Node)) {
	end := t.head()
	ast.Inspect(t.node, func(n ast.Node) bool {
		if n != nil && n.End() <= end {
			f(n)
		}
		return n != nil && n.Pos() < end
	})
}

// keepReferences applies an edit, and adds references to variables and imports of which
// it may have removed the last use: Go rejects unused ones.
func (s *source) keepReferences(e edit) ([]byte, error) {
	without, err := parseSource(s.apply(e))
	if err != nil {
		return nil, err
	}
	if strings.Contains(e.text, string(s.text[e.from:e.to])) {
		return without.text, nil
	}
	names := make(map[string]bool)
	ast.Inspect(s.file, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok && e.from <= s.offset(id.Pos()) && s.offset(id.End()) <= e.to {
			names[id.Name] = true
		}
		return true
	})
	return without.apply(append(without.unusedImports(names), without.useVariables(names, e.from)...)...), nil
}

// unusedImports returns the edits that make the imports of these names blank if they
// are unused.
func (s *source) unusedImports(names map[string]bool) []edit {
	used := make(map[string]bool)
	ast.Inspect(s.file, func(n ast.Node) bool {
		if n, ok := n.(*ast.SelectorExpr); ok {
			if id, ok := n.X.(*ast.Ident); ok {
				used[id.Name] = true
			}
		}
		return true
	})
	var edits []edit
	for _, spec := range s.file.Imports {
		at := s.offset(spec.Path.Pos())
		if name := importName(spec); names[name] && !used[name] {
			edits = append(edits, edit{s.offset(spec.Pos()), at, "_ "})
		}
	}
	return edits
}

// importName returns the name of an import; if it is not given, the likely one.
func importName(spec *ast.ImportSpec) string {
	if spec.Name != nil {
		return spec.Name.Name
	}
	dir, name := path.Split(strings.Trim(spec.Path.Value, `"`))
	if len(name) > 1 && name[0] == 'v' && strings.Trim(name[1:], "0123456789") == "" && dir != "" {
		name = path.Base(dir)
	}
	return strings.TrimSuffix(name, ".go")
}

// useVariables returns the edits that use the variables with these names that are
// declared before an offset and in scope there.
func (s *source) useVariables(names map[string]bool, offset int) []edit {
	var edits []edit
	var stack []ast.Node
	ast.Inspect(s.file, func(n ast.Node) bool {
		if n == nil {
			stack = stack[:len(stack)-1]
			return true
		}
		if len(stack) > 0 && s.offset(n.Pos()) <= offset {
			for _, name := range declared(n) {
				if names[name] && offset <= s.offset(stack[len(stack)-1].End()) {
					edits = append(edits, s.addUse(name, n, stack[len(stack)-1]))
				}
			}
		}
		stack = append(stack, n)
		return true
	})
	return edits
}

// declared returns the names of the variables that a statement declares.
func declared(n ast.Node) []string {
	var list []ast.Expr
	switch n := n.(type) {
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			list = n.Lhs
		}
	case *ast.RangeStmt:
		if n.Tok == token.DEFINE {
			list = []ast.Expr{n.Key, n.Value}
		}
	case *ast.DeclStmt:
		for _, spec := range n.Decl.(*ast.GenDecl).Specs {
			if v, ok := spec.(*ast.ValueSpec); ok && n.Decl.(*ast.GenDecl).Tok == token.VAR {
				for _, id := range v.Names {
					list = append(list, id)
				}
			}
		}
	}
	var names []string
	for _, x := range list {
		if id, ok := x.(*ast.Ident); ok && id.Name != "_" {
			names = append(names, id.Name)
		}
	}
	return names
}

// addUse returns the edit that uses a variable that n, a child of parent, declares.
func (s *source) addUse(name string, n, parent ast.Node) edit {
	use := "_ = " + name
	begin := func(pos token.Pos) edit { return edit{s.offset(pos) + 1, s.offset(pos) + 1, " " + use + "; "} }
	first := func(b *ast.BlockStmt) edit { // a switch begins with a case
		if len(b.List) > 0 {
			return begin(b.List[0].(*ast.CaseClause).Colon)
		}
		return edit{}
	}
	if n, ok := n.(*ast.RangeStmt); ok {
		return begin(n.Body.Lbrace)
	}
	switch parent := parent.(type) {
	case *ast.IfStmt:
		return begin(parent.Body.Lbrace)
	case *ast.ForStmt:
		return begin(parent.Body.Lbrace)
	case *ast.SwitchStmt:
		return first(parent.Body)
	case *ast.TypeSwitchStmt:
		return first(parent.Body)
	case *ast.CommClause:
		if parent.Comm == n {
			return begin(parent.Colon)
		}
	}
	end := s.offset(n.End())
	return edit{end, end, "; " + use}
}
