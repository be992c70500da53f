package grafanatest

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"rollcall/deploy/prometheus/prometheustest"
)

// Exprs returns the panels' queries that contain part, with these values of the
// variables.
func Exprs(t testing.TB, d *Dashboard, values map[string]string, part string) []string {
	t.Helper()
	var found []string
	for _, p := range d.Graphs() {
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, part) {
				continue
			}
			expr, err := Interpolate(target.Expr, values)
			if err != nil {
				t.Errorf("%s: %v", p.Title, err)
			}
			found = append(found, expr)
		}
	}
	if len(found) == 0 {
		t.Fatalf("no query contains %q", part)
	}
	return found
}

// LabelValues matches a variable's query for the values of a label.
var LabelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)

// QueryResult matches a variable's query for the series of an expression.
var QueryResult = regexp.MustCompile(`^query_result\((.+)\)$`)

// Offered returns the values that Grafana would offer for the variable, in order.
func Offered(t testing.TB, server *prometheustest.Server, v *Variable, values map[string]string) []string {
	t.Helper()
	expr, err := Interpolate(v.Expr(), values)
	if err != nil {
		t.Fatal(err)
	}
	if found := LabelValues.FindStringSubmatch(expr); found != nil {
		var list []string
		server.Get("/api/v1/label/"+found[2]+"/values", url.Values{"match[]": {found[1]}}, &list)
		return list
	}
	found := QueryResult.FindStringSubmatch(expr)
	if found == nil {
		t.Fatalf("$%s has the query %s", v.Name, expr)
	}
	pick := regexp.MustCompile(v.Regex[1 : len(v.Regex)-1])
	var list []string
	for _, sample := range server.Query(found[1]) {
		if picked := pick.FindStringSubmatch(asText(sample)); picked != nil {
			list = append(list, picked[1])
		}
	}
	slices.Sort(list)
	return list
}

// asText returns a sample in the format in which query_result passes it to the variable's
// regex: name{label="value",…} value time.
func asText(sample prometheustest.Sample) string {
	labels := ""
	for _, name := range slices.Sorted(maps.Keys(sample.Labels)) {
		if name == "__name__" {
			continue
		}
		if labels != "" {
			labels += ","
		}
		labels += fmt.Sprintf("%s=%q", name, sample.Labels[name])
	}
	return fmt.Sprintf("%s{%s} %v 0", sample.Labels["__name__"], labels, sample.Value)
}
