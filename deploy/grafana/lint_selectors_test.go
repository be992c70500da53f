package grafana_test

import (
	"fmt"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"

	"rollcall/deploy/grafana/grafanatest"
)

// perSelector returns the selectors in all targets that are not good. above are the
// expressions that contain the selector, outermost first.
func perSelector(d *grafanatest.Dashboard, good func(s *parser.VectorSelector, above []parser.Node) bool) (wrong []string) {
	for _, p := range d.Graphs() {
		for _, target := range p.Targets {
			expr, err := parse(d, target.Expr)
			if err != nil {
				continue // another rule's
			}
			parser.Inspect(expr, func(node parser.Node, above []parser.Node) error {
				if s, ok := node.(*parser.VectorSelector); ok && !good(s, above) {
					wrong = append(wrong, fmt.Sprintf("%s: %s in %s", p.Title, s.Name, target.Expr))
				}
				return nil
			})
		}
	}
	return wrong
}

// matcher returns the matcher of that label, or nil.
func matcher(s *parser.VectorSelector, label string) *labels.Matcher {
	for _, m := range s.LabelMatchers {
		if m.Name == label {
			return m
		}
	}
	return nil
}

// targetMatcher requires label=~"$label" in each selector.
func targetMatcher(d *grafanatest.Dashboard, label string) []string {
	return perSelector(d, func(s *parser.VectorSelector, _ []parser.Node) bool {
		m := matcher(s, label)
		return m != nil && m.Type == labels.MatchRegexp && m.Value == "$"+label
	})
}

// targetInterval requires rates to use $__rate_interval, and other ranges to be that or
// the time range shown.
func targetInterval(d *grafanatest.Dashboard) []string {
	return perSelector(d, func(_ *parser.VectorSelector, above []parser.Node) bool {
		if len(above) < 2 {
			return true
		}
		matrix, ok := above[len(above)-1].(*parser.MatrixSelector)
		if !ok {
			return true
		}
		call, _ := above[len(above)-2].(*parser.Call)
		isRate := call != nil && slices.Contains([]string{"rate", "irate", "increase"}, call.Func.Name)
		return matrix.Range == rateInterval || !isRate && matrix.Range == timeRange
	})
}

// targetCounter requires counters to be used in a rate or an increase.
func targetCounter(d *grafanatest.Dashboard) []string {
	return perSelector(d, func(s *parser.VectorSelector, above []parser.Node) bool {
		return !strings.HasSuffix(s.Name, "_total") || calledBy(above, "rate", "irate", "increase")
	})
}

// targetHistogram requires buckets to be used in a quantile.
func targetHistogram(d *grafanatest.Dashboard) []string {
	return perSelector(d, func(s *parser.VectorSelector, above []parser.Node) bool {
		return !strings.HasSuffix(s.Name, "_bucket") || calledBy(above, "histogram_quantile")
	})
}

func calledBy(above []parser.Node, functions ...string) bool {
	return slices.ContainsFunc(above, func(node parser.Node) bool {
		call, ok := node.(*parser.Call)
		return ok && slices.Contains(functions, call.Func.Name)
	})
}

// mostLines is how many machines one panel may show.
const mostLines = 20

// bounded requires queries of rollcall_logged_in_users, which may have 100,000 series, to
// select one machine, the top few, or an aggregate that is not by machine.
func bounded(d *grafanatest.Dashboard) []string {
	return perSelector(d, func(s *parser.VectorSelector, above []parser.Node) bool {
		if s.Name != "rollcall_logged_in_users" {
			return true
		}
		if m := matcher(s, "machine"); m != nil && m.Type == labels.MatchEqual {
			return true
		}
		return slices.ContainsFunc(above, func(node parser.Node) bool {
			a, ok := node.(*parser.AggregateExpr)
			if !ok {
				return false
			}
			if a.Op == parser.TOPK {
				k, ok := a.Param.(*parser.NumberLiteral)
				return ok && k.Val <= mostLines
			}
			return !a.Without && !slices.Contains(a.Grouping, "machine")
		})
	})
}

// layout requires each panel to have an id of its own, and to overlap no other on
// Grafana's 24 columns.
func layout(d *grafanatest.Dashboard) (wrong []string) {
	ids, taken := map[int]bool{}, map[[2]int]bool{}
	for _, p := range slices.Concat(d.All(), d.Rows()) {
		if ids[p.ID] || p.ID == 0 {
			wrong = append(wrong, fmt.Sprintf("%s: id %d", p.Title, p.ID))
		}
		ids[p.ID] = true
		free := p.GridPos.X+p.GridPos.W <= 24
		for x := range p.GridPos.W {
			for y := range p.GridPos.H {
				square := [2]int{p.GridPos.X + x, p.GridPos.Y + y}
				free = free && !taken[square]
				taken[square] = true
			}
		}
		if !free {
			wrong = append(wrong, p.Title+" overlaps another panel or the edge")
		}
	}
	return wrong
}
