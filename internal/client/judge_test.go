package client

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// judging answers as a service whose clock is an hour ahead, with a machine web1 whose
// newest event is a day old.
func judging(t *testing.T, limits string) (*nats.Conn, rollcallv1.Subjects) {
	t.Helper()
	nc := kit.Conn(t, kit.StartServer(t).URL)
	subjects, err := rollcallv1.NewSubjects("rollcall")
	if err != nil {
		t.Fatal(err)
	}
	answer := func(endpoint string, answer func(m *nats.Msg)) {
		if _, err := nc.Subscribe(subjects.Query(endpoint), answer); err != nil {
			t.Fatal(err)
		}
	}
	answer("status", func(m *nats.Msg) {
		when := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
		_ = m.Respond(fmt.Appendf(nil, `{"when":%q,"stream":"S","machines":3,"sessions":2,"limits":%s}`, when, limits))
	})
	answer("machine", func(m *nats.Msg) {
		if !strings.Contains(string(m.Data), `"web1"`) {
			refuse(m, rollcallv1.CodeNotFound)
			return
		}
		newest := time.Now().Add(-24 * time.Hour).UTC().Format(time.RFC3339Nano)
		_ = m.Respond(fmt.Appendf(nil, `{"when":"2026-11-22T21:00:00Z","stream":"S","machine":"web1","newest":%q,"sessions":[{"user":"lane"},{"user":"chris","session":"c7"}]}`, newest))
	})
	return nc, subjects
}

// TestJudge: what the service would refuse as future, late or limit, by its own clock.
func TestJudge(t *testing.T) {
	const roomy = `{"max_skew":"10m0s","allowed_lateness":"48h0m0s","max_machines":0,"max_sessions":0,"max_sessions_per_machine":0}`
	login := func(user, id string) roster.Event {
		return roster.Event{Type: roster.Login, Session: roster.Session{User: user, ID: id}}
	}
	for _, c := range []struct {
		limits, machine string
		after           time.Duration // from now to the date
		event           roster.Event
		want            roster.Reason
	}{
		{roomy, "web1", 0, login("ada", ""), ""},
		{roomy, "web1", 69 * time.Minute, login("ada", ""), ""},
		{roomy, "web1", 71 * time.Minute, login("ada", ""), roster.Future},
		{roomy, "", 71 * time.Minute, login("ada", ""), roster.Future},
		{roomy, "web1", -71 * time.Hour, login("ada", ""), ""},
		{roomy, "web1", -73 * time.Hour, login("ada", ""), roster.Late},
		{roomy, "web9", -73 * time.Hour, login("ada", ""), ""}, // the service does not know it
		{roomy, "", -73 * time.Hour, login("ada", ""), ""},     // not asked
		{strings.Replace(roomy, `max_machines":0`, `max_machines":3`, 1), "web9", 0, login("ada", ""), roster.Limit},
		{strings.Replace(roomy, `max_machines":0`, `max_machines":3`, 1), "web1", 0, login("ada", ""), ""},
		{strings.Replace(roomy, `max_machines":0`, `max_machines":4`, 1), "web9", 0, login("ada", ""), ""},
		{strings.Replace(roomy, `max_sessions":0`, `max_sessions":2`, 1), "web1", 0, login("ada", ""), roster.Limit},
		{strings.Replace(roomy, `max_sessions":0`, `max_sessions":2`, 1), "web1", 0, login("lane", ""), ""},
		{strings.Replace(roomy, `max_sessions":0`, `max_sessions":2`, 1), "web1", 0, roster.Event{Type: roster.Logout, Session: roster.Session{User: "ada"}}, ""},
		{strings.Replace(roomy, `max_sessions_per_machine":0`, `max_sessions_per_machine":2`, 1), "web1", 0, login("lane", "4"), roster.Limit},
		{strings.Replace(roomy, `max_sessions_per_machine":0`, `max_sessions_per_machine":2`, 1), "web1", 0, login("ada", "c7"), ""},
	} {
		nc, subjects := judging(t, c.limits)
		j, err := AskJudge(t.Context(), nc, subjects, c.machine)
		if err != nil {
			t.Fatal(err)
		}
		c.event.Machine = max(c.machine, "web1")
		c.event.Date = roster.TimeOf(time.Now().Add(c.after))
		var got roster.Reason
		refusal := j.Refusal(&c.event)
		if refusal != nil {
			got = refusal.Reason
		}
		if got != c.want {
			t.Errorf("%s, %s after %v: %v, want %q", c.limits, c.machine, c.after, refusal, c.want)
		}
	}
}

// TestJudgeUnknown: a service that does not tell its limits, or does not answer, is an
// error.
func TestJudgeUnknown(t *testing.T) {
	nc, subjects := judging(t, "{}")
	if _, err := AskJudge(t.Context(), nc, subjects, "web1"); err == nil || !strings.Contains(err.Error(), "older than this program") {
		t.Errorf("without limits: %v", err)
	}
	nobody := kit.Conn(t, kit.StartServer(t).URL)
	if _, err := AskJudge(t.Context(), nobody, subjects, ""); err == nil || !strings.Contains(err.Error(), "no rollcall answers on") {
		t.Errorf("without a service: %v", err)
	}
	mute := respond(t, func(*nats.Msg) {})
	if _, err := mute.Subscribe(subjects.Query("status"), func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	if _, err := AskJudge(t.Context(), mute, subjects, ""); err == nil || !strings.Contains(err.Error(), "no answer on rollcall.query.status within 3s") {
		t.Errorf("without an answer: %v", err)
	}
}
