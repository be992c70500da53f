package main

import (
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// TestTwoServices: two services on the same subjects, by mistake, both report it soon after
// the second has started: in the log, the metrics and the status.
func TestTwoServices(t *testing.T) {
	kit.Long(t)
	const warning = "another rollcall answers on the same subjects, so either one answers each question: stop one, or set another ROLLCALL_SUBJECT for it"
	server, _ := newEventsStream(t)
	first := serve(t, t.TempDir(), "NATS_URL="+server.URL)
	if got := first.metric("rollcall_instances"); got != "1" {
		t.Errorf("%s instances, want 1", got)
	}
	second := serve(t, t.TempDir(), "NATS_URL="+server.URL, "ROLLCALL_ALLOWED_LATENESS=1h")
	for _, p := range []*process{first, second} {
		if same := p.says(warning, "same_settings"); same != "false" {
			t.Errorf("same settings: %s", same)
		}
		kit.Eventually(t, func() bool { return p.metric("rollcall_instances") == "2" }, "the metric shows two")
	}
	status := first.tool("", "status").out
	if !strings.Contains(status, "\ninstance   the one that answers: ") || !strings.Contains(status, "\ninstance   another, with different settings: ") {
		t.Errorf("status is\n%s", status)
	}
}
