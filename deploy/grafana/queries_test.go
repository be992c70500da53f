package grafana_test

import (
	"slices"
	"testing"

	"rollcall/deploy/grafana/grafanatest"
	"rollcall/deploy/prometheus/prometheustest"
)

// TestQueries: every query of the dashboard returns data from a real Prometheus that
// scrapes a real rollcall, with all jobs and instances, and with one.
func TestQueries(t *testing.T) {
	server := prometheustest.Busy(t)
	d := grafanatest.Read(t)
	all := grafanatest.Chosen(d, nil)
	choice := map[string]string{}
	for _, name := range []string{"job", "instance", "machine"} {
		values := grafanatest.Offered(t, server, d.Variable(name), all)
		if len(values) == 0 {
			t.Fatalf("nothing is offered for $%s", name)
		}
		choice[name] = values[0]
	}
	if machines := grafanatest.Offered(t, server, d.Variable("machine"), all); !slices.Equal(machines, []string{"db1", "db2", "web1"}) {
		t.Errorf("machines %q are offered", machines)
	}
	for _, values := range []map[string]string{
		grafanatest.Chosen(d, map[string]string{"machine": choice["machine"]}),
		grafanatest.Chosen(d, choice),
	} {
		for _, expr := range grafanatest.Exprs(t, d, values, "") {
			if len(server.Query(expr)) == 0 {
				t.Errorf("no data for %s", expr)
			}
		}
	}
	// A machine's name is not used as a regular expression.
	for _, expr := range grafanatest.Exprs(t, d, grafanatest.Chosen(d, map[string]string{"machine": "db."}), "$machine") {
		if found := server.Query(expr); len(found) > 0 {
			t.Errorf("%s: %v", expr, found)
		}
	}
}
