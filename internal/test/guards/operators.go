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

// force puts the target's condition, or its last value, into a form.
func (s *source) force(t target, form string) (edit, error) {
	var x ast.Expr
	switch n := t.node.(type) {
	case *ast.IfStmt:
		x = n.Cond
	case *ast.ForStmt:
		x = n.Cond
	case *ast.CaseClause:
		if t.isTagless() && len(n.List) > 0 {
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
		return edit{}, errors.New("it has no condition and no value")
	}
	return s.replace(x, form), nil
}

func last(list []ast.Expr) ast.Expr {
	if len(list) == 0 {
		return nil
	}
	return list[len(list)-1]
}

// forceCase puts all conditions of a case together into a form.
func (s *source) forceCase(n *ast.CaseClause, form string) edit {
	var all []string
	for _, x := range n.List {
		all = append(all, "("+s.textOf(x)+")")
	}
	e := edit{s.offset(n.List[0].Pos()), s.offset(last(n.List).End()), ""}
	e.text = strings.ReplaceAll(form, "%s", strings.Join(all, " || "))
	return e
}

// isTagless says whether the target is a case of a switch over conditions.
func (t target) isTagless() bool {
	if len(t.around) < 2 {
		return false
	}
	n, ok := t.around[len(t.around)-2].(*ast.SwitchStmt)
	return ok && n.Tag == nil
}

// drop takes the target away. A statement stays, and is not executed: else what it
// uses may be unused.
func (s *source) drop(t target) (edit, error) {
	declares := errors.New("it declares something, and can't be dropped")
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

// part is what can be dropped of an expression.
type part struct {
	ast.Expr
	without edit
}

// dropPart takes the part away that is named by a text: an operand, and if none is,
// an argument or an element.
func (s *source) dropPart(t target, text string) (edit, error) {
	found := s.named(s.operands(t), text)
	if len(found) == 0 {
		found = s.named(s.elements(t), text)
	}
	if len(found) != 1 {
		return edit{}, fmt.Errorf("%d operands or elements have %q, or begin with it, want one", len(found), text)
	}
	return found[0].without, nil
}

// named returns those parts that a text names.
func (s *source) named(parts []part, text string) []part {
	text = squeeze(text)
	parts = slices.DeleteFunc(parts, func(p part) bool { return !strings.Contains(squeeze(s.textOf(p)), text) })
	// What is within another one is meant.
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
		list = append(list, s.oneByOne(clause.List, token.NoPos)...)
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
			list = append(list, s.oneByOne(n.Args, n.Ellipsis)...)
		case *ast.CompositeLit:
			list = append(list, s.oneByOne(n.Elts, token.NoPos)...)
		}
	})
	return list
}

// oneByOne returns the parts of a list, whose last one may have an ellipsis.
func (s *source) oneByOne(list []ast.Expr, ellipsis token.Pos) []part {
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

// comma returns the offset after the comma that follows an offset, if one does.
func (s *source) comma(at int) int {
	if bytes.HasPrefix(s.text[at:], []byte(",")) {
		return at + 1
	}
	return at
}

// set puts one expression, or statement, in the place of another.
func (s *source) set(t target, before, after string) (edit, error) {
	if squeeze(before) == squeeze(after) {
		return edit{}, fmt.Errorf("%q is the same", after)
	}
	var found []edit
	t.inspect(func(n ast.Node) {
		switch n.(type) {
		case ast.Expr, ast.Stmt:
			e := edit{s.offset(n.Pos()), s.offset(n.End()), after}
			if s.reads(n, before) && !slices.Contains(found, e) {
				found = append(found, e)
			}
		}
	})
	if len(found) != 1 {
		return edit{}, fmt.Errorf("it has %d times %q, want once", len(found), before)
	}
	return found[0], nil
}

// reads says whether a node reads as a text, in which (...) at the end is for any
// arguments.
func (s *source) reads(n ast.Node, text string) bool {
	if name, ok := strings.CutSuffix(text, "(...)"); ok {
		call, ok := n.(*ast.CallExpr)
		return ok && squeeze(s.textOf(call.Fun)) == squeeze(name)
	}
	return squeeze(s.textOf(n)) == squeeze(text)
}

// squeeze returns a text as it is compared: without white space, and what is left
// of it when a list is written on one line.
func squeeze(text string) string {
	text = strings.Join(strings.Fields(text), "")
	return strings.NewReplacer(",)", ")", ",}", "}", ",]", "]").Replace(text)
}
