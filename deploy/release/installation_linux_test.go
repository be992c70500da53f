package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"rollcall/deploy/grafana/grafanatest"
	"rollcall/deploy/internal/program"
	"rollcall/deploy/prometheus/prometheustest"
	"rollcall/internal/test/machine"
)

// unheard matches a machine in what "rollcall report --expected" prints.
var unheard = regexp.MustCompile(`(?m)^web[12]$`)

// TestInstallation: who runs the commands of docs/installation.md as they stand there has a
// fleet, sees logins within a second, can revoke a machine, and can leave again.
func TestInstallation(t *testing.T) {
	g := newGuide(t)
	g.follow("Packages", "Certificates and accounts", "The NATS server", "The service", "The page", "Prometheus", "Grafana", "The machines")
	check := g.section("Check")[0]
	g.eventually("both machines were heard from", func() (string, bool) {
		out, err := g.try(g.operator, checkout, check)
		return out, err == nil && !unheard.MatchString(out)
	})
	g.web1.AddUsers("ada", "eve")
	g.web2.AddUsers("bob")
	g.web1.Login("ada", "")
	g.web2.Login("bob", "")
	g.await("both machines are in the report", "web1: ada\nweb2: bob\n")
	g.wantWithinASecond("eve")

	g.revoke()
	leave := g.section("Leave again")
	g.runOn(g.web2, "/root", leave[0])
	g.wantGone(g.web2)
	g.operator.Run("env", "-C", checkout, "rollcall", "enroll", "--dir", "enrolled", "web2")
	g.ansible()
	g.await("the machine is back", "web1: ada\nweb2: bob\n")

	g.runOn(g.web2, "/root", leave[0])
	g.cloudInit(g.web2)
	program.Eventually(t, "the new machine tells", func() bool { return strings.Contains(g.report(), "web3: bob\n") })

	g.wantDashboard()
	g.runOn(g.web1, "/root", leave[0])
	g.wantGone(g.web1)
	for _, b := range leave[1:] {
		g.run(b)
	}
	g.wantGone(g.server)
}

// wantWithinASecond logs a user in until that is in the report within a second, which a busy
// computer may miss.
func (g *guide) wantWithinASecond(user string) {
	g.t.Helper()
	for range 5 {
		login := g.web1.Login(user, "")
		began := time.Now()
		g.await("the login is in the report", "web1: ada, "+user+"\nweb2: bob\n")
		took := time.Since(began)
		login.End()
		g.await("the logout is in the report", "web1: ada\nweb2: bob\n")
		if took < time.Second {
			g.t.Logf("a login was in the report after %v", took.Round(time.Millisecond))
			return
		}
	}
	g.t.Error("no login of five was in the report within a second")
}

// revoke revokes web2, as in the section; while its agent is refused, that of web1 goes on.
func (g *guide) revoke() {
	g.t.Helper()
	blocks := g.section("Revoke a machine")
	g.run(blocks[0])
	program.Eventually(g.t, "the agent of web2 is refused", func() bool {
		return slices.ContainsFunc(g.web2.Journal("--unit=rollcall-agent"), func(r map[string]string) bool {
			return strings.Contains(r["MESSAGE"], "nats refuses the login")
		})
	})
	listed := g.operator.Run("env", "-C", checkout, "rollcall", "enroll", "--dir", "enrolled", "--list")
	if !regexp.MustCompile(`(?m)^machine\s+web2\s.*\brevoked\b`).MatchString(listed) {
		g.t.Errorf("web2 is not listed as revoked:\n%s", listed)
	}
	g.web2.AddUsers("mallory")
	refused := g.web2.Login("mallory", "")
	login := g.web1.Login("eve", "")
	g.await("the other machine goes on", "web1: ada, eve\nweb2: bob\n")
	login.End()
	g.run(blocks[1])
	g.await("nobody is on the revoked machine", "web1: ada\n")
	refused.End()
}

// wantDashboard wants an answer to every query of the dashboard from the Prometheus that
// Grafana would ask.
func (g *guide) wantDashboard() {
	g.t.Helper()
	variables := map[string]string{}
	for line := range strings.Lines(g.server.Run("cat", "/etc/systemd/system/grafana-server.service.d/rollcall.conf")) {
		if assignment, is := strings.CutPrefix(strings.TrimSpace(line), "Environment="); is {
			name, value, _ := strings.Cut(assignment, "=")
			variables[name] = value
		}
	}
	want, err := os.ReadFile(filepath.Join(program.Root(g.t), "deploy/grafana/dashboards/rollcall.json"))
	if err != nil {
		g.t.Fatal(err)
	}
	if got := g.server.Run("cat", variables["ROLLCALL_DASHBOARDS"]+"/rollcall.json"); !bytes.Equal(want, []byte(got)) {
		g.t.Errorf("%s has another dashboard", variables["ROLLCALL_DASHBOARDS"])
	}
	transport := &http.Transport{DialContext: func(_ context.Context, _, address string) (net.Conn, error) { return g.server.Dial(address) }}
	defer transport.CloseIdleConnections()
	prometheus := prometheustest.At(g.t, &http.Client{Transport: transport}, variables["PROMETHEUS_URL"])
	d := grafanatest.Read(g.t)
	g.eventually("every query of the dashboard has an answer", func() (string, bool) {
		var empty []string
		for _, expr := range grafanatest.Exprs(g.t, d, grafanatest.Chosen(d, map[string]string{"machine": "web1"}), "") {
			if len(prometheus.Query(expr)) == 0 {
				empty = append(empty, expr)
			}
		}
		if empty != nil {
			// Some have an answer only if events arrive between two scrapes.
			g.web1.Login("eve", "").End()
		}
		return fmt.Sprintf("none to %q", empty), empty == nil
	})
}

// wantGone wants no file on a machine that was not there before.
func (g *guide) wantGone(m *machine.Machine) {
	g.t.Helper()
	if left := m.Run("bash", "-c", listing+" | comm -13 /run/before -"); left != "" {
		g.t.Errorf("what is left:\n%s", left)
	}
	for _, unit := range []string{"rollcall", "rollcall-web", "rollcall-agent", "nats-server", "prometheus"} {
		if state, _ := m.Try("systemctl", "is-active", unit); strings.TrimSpace(state) == "active" {
			g.t.Errorf("%s is %s", unit, state)
		}
	}
}
