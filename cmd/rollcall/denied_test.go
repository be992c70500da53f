package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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

// TestDenied: a permission that is missing is reported at once, with its subject and what
// to do, by every command that asks; without that they would wait ten seconds, and guess.
func TestDenied(t *testing.T) {
	kit.Environment(t, nil)
	const requests = "rollcall.query."
	const direct = "$JS.API.DIRECT.GET.ROLLCALL_DEADLETTERS"
	expected := filepath.Join(t.TempDir(), "expected")
	if err := os.WriteFile(expected, []byte("web1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	commands := map[string]string{ // the subject of their first request
		"report": requests + "report", "report --at -1h": requests + "report", "report --user-on-several": requests + "report",
		"report --expected " + expected: requests + "report",
		"who web1":                      requests + "machine", "where lane": requests + "user", "history": requests + "history", "status": requests + "status",
		"watch": requests + "report", "deadletters": direct, "streams": "$JS.API.STREAM.LIST",
		"publish --boot --machine web1": "rollcall.events.web1",
	}
	noAnswers := kit.StartServer(t, users(&server.Permissions{
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_agent.>", "rollcall.changes", "rollcall.changes.>"}},
	}))
	noRequests := kit.StartServer(t, users(&server.Permissions{
		Publish: &server.SubjectPermission{Allow: []string{"nothing"}},
	}))
	for _, s := range []*kit.Server{noAnswers, noRequests} {
		eventsStream(t, s.URL, jetstream.StreamConfig{}, nats.UserInfo("admin", "admin"))
	}
	denied := func(url, command, why string) {
		t.Helper()
		kit.Environment(t, asAgent(url))
		begin := time.Now()
		got := rollcall(t.Context(), nil, strings.Fields(command)...)
		if took := time.Since(begin); got.code == exitDone || !strings.Contains(got.err, why) || took > 2*time.Second {
			t.Errorf("%s after %v: %+v; want %s", command, took, got, why)
		}
	}
	for command, subject := range commands {
		denied(noAnswers.URL, command, `NATS does not let the user "agent" receive answers on "_INBOX.`)
		denied(noAnswers.URL, command, `: set NATS_INBOX_PREFIX to a prefix to which it may subscribe (`)
		denied(noRequests.URL, command, `NATS does not let the user "agent" publish to "`+subject+`": use credentials that may`)
	}
	noChanges := kit.StartServer(t, users(&server.Permissions{
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX.>"}},
	}))
	denied(noChanges.URL, "watch", `NATS does not let the user "agent" subscribe to "rollcall.changes`)
}
