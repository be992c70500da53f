package nats_test

import (
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

// TestStandby: two services stand by for each other with the permissions of the service: one
// is active, the other one begins with what that hands over, and takes over from it.
func TestStandby(t *testing.T) {
	w := newWorld(t)
	service := append(w.user("service"), "ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL=2s", "ROLLCALL_REPORT_INTERVAL=100ms")
	active := func(s *program.Service) func() bool {
		return func() bool { return strings.Contains(s.Get("/metrics"), "\nrollcall_active 1\n") }
	}
	one := program.Serve(t, append(service, "ROLLCALL_DATA_DIR="+t.TempDir())...)
	program.Eventually(t, "the first is active", active(one))
	w.publish("web1", "--login", "lane", "--machine", "web1")
	program.Eventually(t, "the report is stored", func() bool { return strings.Contains(w.lastReport(), `"users":["lane"]`) })
	two := program.Serve(t, append(service, "ROLLCALL_DATA_DIR="+t.TempDir())...)
	if !strings.Contains(two.Log(), "begins with what the active rollcall handed over") {
		t.Error("nothing was handed over")
	}
	reader := w.connect("reader")
	if err := reader.Publish("rollcall.query.handover", []byte(`{"id":"x"}`)); err != nil {
		t.Fatal(err)
	}
	if err := reader.Flush(); err != nil {
		t.Fatal(err)
	}
	one.Stop()
	program.Eventually(t, "the second is active", active(two))
	if out, err := w.rollcall("reader", "who", "web1"); err != nil || !strings.Contains(out, "lane") {
		t.Errorf("a reader asks: %v: %s", err, out)
	}
	if got := strings.Count(one.Log(), "handed over to one that stands by"); got != 1 {
		t.Errorf("%d hand-overs, want 1", got)
	}
	for _, s := range []*program.Service{one, two} {
		wantNoDenials(t, s.Log())
	}
}
