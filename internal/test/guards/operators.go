package guards

import (
	"bytes"
	"errors"
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strings"
)

// force replaces the target's condition, or its last value, by a form in which %s
// stands for it.
func (s *source) force(t target, form string) (edit, error) {
	var x ast.Expr
	switch n := t.node.(type) {
	case *ast.IfStmt:
		x = n.Cond
	case *ast.ForStmt:
		x = n.Cond
	case *ast.CaseClause:
		if t.inTaglessSwitch() && len(n.List) > 0 {
			return s.forceCase(n, form), nil
		}
	case *ast.ReturnStmt:
		x = last(n.Results)
	case *ast.AssignStmt:
		x = last(n.Rhs)
	case *ast.ValueSpec:
		x = last(n.Values)
	case *ast.KeyValueExpr:
		x = n.Value
	}
	if x == nil {
		return edit{}, errors.New("the target has no condition and no value")
	}
	return s.replace(x, form), nil
}

func last(list []ast.Expr) ast.Expr {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// forceCase is force for the conditions of a case, joined by ||.
func (s *source) forceCase(n *ast.CaseClause, form string) edit {
	var all []string
	for _, x := range n.List {
		all = append(all, "("+s.textOf(x)+")")
	}
	e := edit{s.offset(n.List[0].Pos()), s.offset(last(n.List).End()), ""}
	e.text = strings.ReplaceAll(form, "%s", strings.Join(all, " || "))
	return e
}

// inTaglessSwitch reports whether the target is a case of a switch without a tag.
func (t target) inTaglessSwitch() bool {
	if len(t.ancestors) < 2 {
		return false
	}
	n, ok := t.ancestors[len(t.ancestors)-2].(*ast.SwitchStmt)
	return ok && n.Tag == nil
}

// drop removes the target. A statement stays, but is not executed; otherwise what it
// uses might be unused.
func (s *source) drop(t target) (edit, error) {
	declares := errors.New("a declaration cannot be dropped")
	switch n := t.node.(type) {
	case *ast.CaseClause, *ast.CommClause:
		return s.replace(n, ""), nil
	case *ast.BranchStmt:
		if n.Tok == token.FALLTHROUGH {
			return s.replace(n, ""), nil
		}
	case *ast.DeclStmt:
		return edit{}, declares
	case *ast.AssignStmt:
		if n.Tok == token.DEFINE {
			return edit{}, declares
		}
	case ast.Stmt:
	case ast.Expr:
		e := s.replace(n, "")
		e.to = s.comma(e.to)
		return e, nil
	default:
		return edit{}, declares
	}
	return s.replace(t.node, "if false { %s }"), nil
}

// part is a part of an expression that can be dropped.
type part struct {
	ast.Expr
	without edit
}

// dropPart removes the part that a text matches: an operand, or if none matches, an
// argument or an element.
func (s *source) dropPart(t target, text string) (edit, error) {
	found := s.matching(s.operands(t), text)
	if len(found) == 0 {
		found = s.matching(s.elements(t), text)
	}
	if len(found) != 1 {
		return edit{}, fmt.Errorf("%d operands or elements contain %q, want one", len(found), text)
	}
	return found[0].without, nil
}

// matching returns the innermost parts that contain a text; if several do and some of
// them begin with it, only these.
func (s *source) matching(parts []part, text string) []part {
	text = squeeze(text)
	parts = slices.DeleteFunc(parts, func(p part) bool { return !strings.Contains(squeeze(s.textOf(p)), text) })
	// Drop those that contain another one.
	parts = slices.DeleteFunc(slices.Clone(parts), func(p part) bool {
		return slices.ContainsFunc(parts, func(q part) bool {
			return p.Expr != q.Expr && p.Pos() <= q.Pos() && q.End() <= p.End()
		})
	})
	if len(parts) > 1 {
		begins := func(p part) bool { return strings.HasPrefix(squeeze(s.textOf(p)), text) }
		if slices.ContainsFunc(parts, begins) {
			parts = slices.DeleteFunc(parts, func(p part) bool { return !begins(p) })
		}
	}
	return parts
}

// operands returns the operands of && and || in the target's head, and the values of
// a case.
func (s *source) operands(t target) []part {
	var list []part
	t.inspect(func(n ast.Node) {
		if n, ok := n.(*ast.BinaryExpr); ok && (n.Op == token.LAND || n.Op == token.LOR) {
			form := "(true || (%s))"
			if n.Op == token.LOR {
				form = "(false && (%s))"
			}
			for _, x := range []ast.Expr{n.X, n.Y} {
				// a && b && c is (a && b) && c: its operands are three.
				if b, ok := x.(*ast.BinaryExpr); !ok || b.Op != n.Op {
					list = append(list, part{x, s.replace(x, form)})
				}
			}
		}
	})
	if clause, ok := t.node.(*ast.CaseClause); ok && len(clause.List) > 1 {
		list = append(list, s.listParts(clause.List, token.NoPos)...)
	}
	return list
}

// elements returns the arguments of calls and the elements of composite literals in
// the target's head.
func (s *source) elements(t target) []part {
	var list []part
	t.inspect(func(n ast.Node) {
		switch n := n.(type) {
		case *ast.CallExpr:
			list = append(list, s.listParts(n.Args, n.Ellipsis)...)
		case *ast.CompositeLit:
			list = append(list, s.listParts(n.Elts, token.NoPos)...)
		}
	})
	return list
}

// listParts returns the elements of a list as parts. The last one may have an ellipsis.
func (s *source) listParts(list []ast.Expr, ellipsis token.Pos) []part {
	var parts []part
	for i, x := range list {
		without := s.replace(x, "")
		if i == len(list)-1 && ellipsis.IsValid() {
			without.to = s.offset(ellipsis) + len("...")
		}
		switch {
		case i > 0:
			without.from = s.offset(list[i-1].End())
		case len(list) > 1:
			without.to = s.offset(list[1].Pos())
		default:
			without.to = s.comma(without.to)
		}
		parts = append(parts, part{x, without})
	}
	return parts
}

// comma returns the offset after the comma at an offset; if there is none, the offset.
func (s *source) comma(at int) int {
	if bytes.HasPrefix(s.text[at:], []byte(",")) {
		return at + 1
	}
	return at
}

// set replaces an expression or a statement by another.
func (s *source) set(t target, before, after string) (edit, error) {
	if squeeze(before) == squeeze(after) {
		return edit{}, fmt.Errorf("%q changes nothing", after)
	}
	var found []edit
	t.inspect(func(n ast.Node) {
		switch n.(type) {
		case ast.Expr, ast.Stmt:
			e := edit{s.offset(n.Pos()), s.offset(n.End()), after}
			if s.matches(n, before) && !slices.Contains(found, e) {
				found = append(found, e)
			}
		}
	})
	if len(found) != 1 {
		return edit{}, fmt.Errorf("the target contains %q %d times, want once", before, len(found))
	}
	return found[0], nil
}

// matches reports whether the source of a node is a text, in which a final (...) stands
// for any arguments.
func (s *source) matches(n ast.Node, text string) bool {
	if name, ok := strings.CutSuffix(text, "(...)"); ok {
		call, ok := n.(*ast.CallExpr)
		return ok && squeeze(s.textOf(call.Fun)) == squeeze(name)
	}
	return squeeze(s.textOf(n)) == squeeze(text)
}

// squeeze returns a text in the form in which texts are compared: without white space,
// and without the trailing commas of lists.
func squeeze(text string) string {
	text = strings.Join(strings.Fields(text), "")
	return strings.NewReplacer(",)", ")", ",}", "}", ",]", "]").Replace(text)
}
