package prometheustest

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/deploy/internal/program"
)

// Busy starts a rollcall and a Prometheus that scrapes it, and produces data for all alerts
// and panels: logins and logouts on several machines, one user on two, refusals, reports,
// snapshots. It returns when Prometheus has the data.
func Busy(t testing.TB) *Server {
	t.Helper()
	inventory := filepath.Join(t.TempDir(), "machines.txt")
	if err := os.WriteFile(inventory, []byte("db1\nweb1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	service := program.Serve(t, "ROLLCALL_SNAPSHOT_INTERVAL=1s", "ROLLCALL_REPORT_INTERVAL=1s", "ROLLCALL_EXPECTED_FILE="+inventory)
	server := Start(t, service.URL)
	for _, event := range [][]string{
		{"--login", "lane", "--machine", "web1"},
		{"--login", "lane", "--machine", "db1"},
		{"--login", "chris", "--machine", "db1"},
		{"--logout=chris", "--machine", "db1"},
		{"--boot", "--machine", "db2"},
	} {
		Publish(t, service, event...)
	}
	PublishRefused(t, service)
	program.Eventually(t, "Prometheus has all data", func() bool {
		return len(server.Query(`rollcall_position == 6
			and on () instance:rollcall_snapshot_age:seconds > 0
			and on () instance:rollcall_apply_delay_seconds:p99_rate5m > 0
			and on () increase(rollcall_reports_total{result="ok"}[5m]) > 0
			and on () increase(rollcall_refused_total{reason="future"}[5m]) > 0
			and on () instance:rollcall_refused:ratio_rate15m > 0`)) == 1
	})
	return server
}

// PublishRefused publishes an event that the service refuses, as it is dated years after
// its receipt. rollcall publish would not send it.
func PublishRefused(t testing.TB, service *program.Service) {
	t.Helper()
	conn, err := nats.Connect(service.NATS)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	event := `{"date":"2199-01-01T00:00:00Z","type":"login","machine":"web1","user":"jordan"}`
	if _, err := conn.Request("rollcall.events.web1", []byte(event), 10*time.Second); err != nil {
		t.Fatal(err)
	}
}

// Publish publishes one event with rollcall publish.
func Publish(t testing.TB, service *program.Service, event ...string) {
	t.Helper()
	publish := program.Start(t, []string{"NATS_URL=" + service.NATS}, program.Rollcall(t), append([]string{"publish"}, event...)...)
	if err := publish.Wait(); err != nil {
		t.Fatalf("publishing %q: %v", event, err)
	}
}
