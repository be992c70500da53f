// Package prometheus_test checks the configuration, rules and alerts of this
// folder with the real programs.
package prometheus_test

import (
	"testing"

	"rollcall/deploy/internal/program"
	"rollcall/deploy/prometheus/prometheustest"
)

func TestMain(m *testing.M) { program.Main(m) }

// users returns the machine's current number of users in Prometheus, or -1 if there is no
// series.
func users(server *prometheustest.Server, machine string) float64 {
	found := server.Query(`rollcall_logged_in_users{job="rollcall", machine="` + machine + `"}`)
	if len(found) != 1 {
		return -1
	}
	return found[0].Value
}

// TestScrape: a machine's series appears, follows logins and logouts, and becomes stale as
// soon as the machine is forgotten, not only after the five minutes for which Prometheus
// returns the last value of a series that is no longer scraped.
func TestScrape(t *testing.T) {
	service := program.Serve(t, "ROLLCALL_ALLOWED_LATENESS=3s")
	server := prometheustest.Start(t, service.URL)
	if got := users(server, "web1"); got != -1 {
		t.Errorf("%v users on a machine without events", got)
	}
	for _, step := range []struct {
		event []string
		want  float64
	}{
		{[]string{"--login", "lane"}, 1},
		{[]string{"--login", "chris"}, 2},
		{[]string{"--logout=lane"}, 1},
		{[]string{"--logout=chris"}, 0},
	} {
		prometheustest.Publish(t, service, append(step.event, "--machine", "web1")...)
		program.Eventually(t, step.event[0], func() bool { return users(server, "web1") == step.want })
	}
	program.Eventually(t, "the machine is forgotten", func() bool {
		prometheustest.Publish(t, service, "--login", "lane", "--machine", "db1")
		return users(server, "web1") == -1
	})
	if got := users(server, "db1"); got != 1 {
		t.Errorf("%v users on the machine that still sends events", got)
	}
	most := server.Query(`max_over_time(rollcall_logged_in_users{machine="web1"}[5m])`)
	if len(most) != 1 || most[0].Value != 2 {
		t.Errorf("the maximum is %v, want 2", most)
	}
}

// TestDown: RollcallDown becomes pending when rollcall stops.
func TestDown(t *testing.T) {
	service := program.Serve(t)
	server := prometheustest.Start(t, service.URL)
	service.Stop()
	program.Eventually(t, "RollcallDown is pending", func() bool {
		return len(server.Query(`ALERTS{alertname="RollcallDown", alertstate="pending", instance!=""}`)) == 1
	})
}
