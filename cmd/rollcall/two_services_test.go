package main

import (
	"strings"
	"testing"

	"rollcall/internal/config"
	"rollcall/internal/test/kit"
)

// TestTwoServices: two services on the same subjects, by mistake, both say so
// soon after the second has started: in the log, the metrics and the status.
func TestTwoServices(t *testing.T) {
	const warning = "another rollcall answers on the same subjects, so that answers come from either: stop one, or give it another ROLLCALL_SUBJECT"
	server, _ := somewhere(t)
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
	if !strings.Contains(status, "\ninstance   the one that answers: ") || !strings.Contains(status, "\ninstance   another, with other settings: ") {
		t.Errorf("status is\n%s", status)
	}
}

// TestDigest: services decide alike if all that decides is the same.
func TestDigest(t *testing.T) {
	digest := func(name, value string) string {
		t.Helper()
		kit.Environment(t, map[string]string{name: value})
		cfg, err := config.ReadServe()
		if err != nil {
			t.Fatal(err)
		}
		return digest(cfg)
	}
	seen := map[string]string{digest("ROLLCALL_LOG_LEVEL", "info"): "none"}
	if _, ok := seen[digest("ROLLCALL_REPORT_INTERVAL", "1s")]; !ok {
		t.Error("what decides nothing changes the digest")
	}
	for name, value := range map[string]string{
		"ROLLCALL_MAX_SKEW": "1m", "ROLLCALL_ALLOWED_LATENESS": "1h", "ROLLCALL_MAX_MACHINES": "7", "ROLLCALL_MAX_SESSIONS": "7",
		"ROLLCALL_MAX_SESSIONS_PER_MACHINE": "7", "ROLLCALL_STREAM": "S", "ROLLCALL_SUBJECT": "s",
	} {
		d := digest(name, value)
		if other, ok := seen[d]; ok {
			t.Errorf("%s decides like %s", name, other)
		}
		seen[d] = name
		t.Setenv(name, "")
	}
}
