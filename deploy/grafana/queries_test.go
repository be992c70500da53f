package grafana_test

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

// TestQueries: every query of the dashboard returns data from a real Prometheus that
// scrapes a real rollcall, with all jobs and instances, and with one.
func TestQueries(t *testing.T) {
	server := prometheustest.Busy(t)
	d := readDashboard(t)
	all := chosen(d, nil)
	choice := map[string]string{}
	for _, name := range []string{"job", "instance", "machine"} {
		values := offered(t, server, d.variable(name), all)
		if len(values) == 0 {
			t.Fatalf("nothing is offered for $%s", name)
		}
		choice[name] = values[0]
	}
	if machines := offered(t, server, d.variable("machine"), all); !slices.Equal(machines, []string{"db1", "db2", "web1"}) {
		t.Errorf("machines %q are offered", machines)
	}
	for _, values := range []map[string]string{
		chosen(d, map[string]string{"machine": choice["machine"]}),
		chosen(d, choice),
	} {
		for _, expr := range exprs(t, d, values, "") {
			if len(server.Query(expr)) == 0 {
				t.Errorf("no data for %s", expr)
			}
		}
	}
	// A machine's name is not used as a regular expression.
	for _, expr := range exprs(t, d, chosen(d, map[string]string{"machine": "db."}), "$machine") {
		if found := server.Query(expr); len(found) > 0 {
			t.Errorf("%s: %v", expr, found)
		}
	}
}

// exprs returns the panels' queries that contain part, with these values of the
// variables.
func exprs(t *testing.T, d *dashboard, values map[string]string, part string) []string {
	t.Helper()
	var found []string
	for _, p := range d.graphs() {
		for _, target := range p.Targets {
			if !strings.Contains(target.Expr, part) {
				continue
			}
			expr, err := interpolate(target.Expr, values)
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

var (
	labelValues = regexp.MustCompile(`^label_values\((.+), (\w+)\)$`)
	queryResult = regexp.MustCompile(`^query_result\((.+)\)$`)
)

// offered returns the values that Grafana would offer for the variable, in order.
func offered(t *testing.T, server *prometheustest.Server, v *variable, values map[string]string) []string {
	t.Helper()
	expr, err := interpolate(v.expr(), values)
	if err != nil {
		t.Fatal(err)
	}
	if found := labelValues.FindStringSubmatch(expr); found != nil {
		var list []string
		server.Get("/api/v1/label/"+found[2]+"/values", url.Values{"match[]": {found[1]}}, &list)
		return list
	}
	found := queryResult.FindStringSubmatch(expr)
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
