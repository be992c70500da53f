package main

import (
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/test/kit"
)

// TestTwoServices: two services on the same subjects, by mistake, both report it soon after
// the second has started: in the log, the metrics and the status.
func TestTwoServices(t *testing.T) {
	kit.Long(t)
	const warning = "another rollcall answers on the same subjects, so either one answers each question: stop one, set ROLLCALL_STANDBY=true for both, or set another ROLLCALL_SUBJECT for it"
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

// TestStandbys: two services that stand by for each other are no mistake; "status --all"
// lists them, and the status of the active one has the other.
func TestStandbys(t *testing.T) {
	server, _ := newEventsStream(t)
	standby := []string{"NATS_URL=" + server.URL, "ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL=1s"}
	first := serve(t, t.TempDir(), standby...)
	kit.Eventually(t, func() bool { return first.metric("rollcall_active") == "1" }, "the first is active")
	second := serve(t, t.TempDir(), append(standby, "ROLLCALL_MAX_SKEW=1h")...)
	kit.Eventually(t, func() bool { return second.metric(`rollcall_standby_differs{in="settings"}`) == "1" }, "the second differs")
	all := first.tool("", "status", "--all")
	if all.code != 0 || !strings.HasPrefix(all.out, "active     ") || !strings.Contains(all.out, "\nstands by  ") || !strings.Contains(all.out, "differs: settings: ") {
		t.Errorf("status --all: %+v", all)
	}
	if out := first.tool("", "status", "--all", "--output", "json").out; strings.Count(out, `{"instance":`) != 2 || strings.Count(out, `"active":true`) != 1 || strings.Count(out, `"standby":true`) != 2 {
		t.Errorf("status --all --output json: %s", out)
	}
	kit.Eventually(t, func() bool {
		return strings.Contains(first.tool("", "status").out, "\ninstance   stands by, but differs (see --all): ")
	}, "the status of the active one has the other")
	if got := first.metric("rollcall_instances"); got != "1" || first.metric("rollcall_standbys") != "1" {
		t.Errorf("%s instances", got)
	}
	if code := first.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("SIGTERM: %d", code)
	}
	kit.Eventually(t, func() bool { return second.metric("rollcall_active") == "1" }, "the second is active")
}
