package main

import (
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// TestMissingAndDenied: missing streams that this login may not create are reported with
// the reason and what to do.
func TestMissingAndDenied(t *testing.T) {
	kit.Long(t)
	denied := kit.StartServer(t, users(&server.Permissions{
		Publish: &server.SubjectPermission{Deny: []string{"$JS.API.STREAM.CREATE.>"}},
	}))
	admin := kit.JetStream(t, kit.Conn(t, denied.URL, nats.UserInfo("admin", "admin")))
	for name, subjects := range map[string][]string{
		"ROLLCALL_EVENTS": {"rollcall.events", "rollcall.events.>"}, "ROLLCALL_REPORTS": {"rollcall.reports", "rollcall.reports.>"}, "ROLLCALL_DEADLETTERS": {"rollcall.deadletters.>"},
	} {
		if _, err := admin.CreateStream(t.Context(), jetstream.StreamConfig{Name: name, Subjects: subjects}); err != nil {
			t.Fatal(err)
		}
	}
	p := serve(t, t.TempDir(), "NATS_URL="+denied.URL, "NATS_USER=agent", "NATS_PASSWORD=agent")
	for _, name := range []string{"ROLLCALL_EVENTS", "ROLLCALL_REPORTS"} {
		if err := admin.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	const why = "missing streams ROLLCALL_EVENTS, ROLLCALL_REPORTS: this login may not create them: "
	kit.Environment(t, asAgent(denied.URL))
	kit.Eventually(t, func() bool {
		out := strings.Join(strings.Fields(rollcall(t.Context(), nil, "status").out), " ")
		return strings.Contains(out, "stream: MISSING: somebody has deleted it, and it could not be recreated yet: "+why) &&
			strings.Contains(out, "reports: the stream is missing, and could not be recreated yet: "+why)
	}, "status says why the streams cannot be made")
	if err := p.says("stream missing, creating it failed", "err"); !strings.Contains(err, why) {
		t.Errorf("the log says %s", err)
	}
}
