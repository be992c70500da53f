package main

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/query"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// answering serves questions about a roster on a server of its own until the test ends, and
// sets NATS_URL to it.
func answering(t testing.TB, r *roster.Roster, caughtUp bool) {
	t.Helper()
	answeringAt(t, report.Source{Roster: r, Stream: "EVENTS", CaughtUp: func() bool { return caughtUp }})
}

// now is the time in the answering service.
var now = kit.At.Add(90 * time.Minute)

// answeringAt is answering with any source. It returns the server.
func answeringAt(t testing.TB, source report.Source) *kit.Server {
	t.Helper()
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	nc := kit.Conn(t, s.URL)
	service := query.New(query.Config{
		Source:   source,
		Conn:     nc,
		Subjects: subjects,
		Version:  "1.0.0",
		Now:      func() time.Time { return now },
		Lag:      func() uint64 { return 3 },
		Snapshot: func() *api.Snapshot {
			return &api.Snapshot{Place: 8, Written: kit.At, Size: 1234, StateDigest: strings.Repeat("0123456789abcdef", 4)}
		},
		Log: kit.Logger(t),
	})
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- service.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	kit.Eventually(t, func() bool {
		_, err := nc.Request(subjects.Query("status"), nil, 1e9) // the last to be there
		return err == nil
	}, "the service answers")
	return s
}

// fold returns a roster that has read these events, and lost those of the places in
// between.
func fold(events map[uint64]roster.Event, end uint64) *roster.Roster {
	r := roster.New(roster.DefaultSettings())
	b := roster.Batch{End: roster.Position{Place: end}, Missing: roster.Deleted}
	for place := range end + 1 {
		if e, ok := events[place]; ok {
			e.Date = roster.Time(place)
			b.Messages = append(b.Messages, roster.Message{Place: place, Receipt: 1_000_000, Event: e})
		}
	}
	r.Fold(&b)
	return r
}

func login(machine, user string) roster.Event {
	return roster.Event{Type: roster.Login, Machine: machine, Session: roster.Session{User: user}}
}

func logout(machine, user string) roster.Event {
	return roster.Event{Type: roster.Logout, Machine: machine, Session: roster.Session{User: user}}
}

func TestReport(t *testing.T) {
	answering(t, fold(map[uint64]roster.Event{
		1: login("web2", "lane"), 2: login("web2", "jordan"), 3: login("web1", "lane"),
		4: login("mail", "lane"), 5: logout("mail", "lane"),
	}, 5), true)
	const text = "web1: lane\nweb2: jordan, lane\n"
	rollcall(t.Context(), nil, "report").check(t, exitDone, text, "2 of 3 machines in use, 2 users\n")
	rollcall(t.Context(), nil, "report", "--output", "text").check(t, exitDone, text, "2 of 3 machines in use, 2 users\n")

	r := rollcall(t.Context(), nil, "report", "--output=json")
	got, err := api.DecodeReport([]byte(r.out))
	if err != nil || r.code != exitDone || r.err != "" {
		t.Fatalf("%+v: %v", r, err)
	}
	if len(got.Machines) != 3 || got.Place != 5 || !got.Complete || got.Cursor != "" {
		t.Errorf("%s", r.out)
	}
	var keys map[string]any
	if err := json.Unmarshal([]byte(r.out), &keys); err != nil {
		t.Error(err)
	}
}

func TestReportOfNobody(t *testing.T) {
	answering(t, roster.New(roster.DefaultSettings()), true)
	rollcall(t.Context(), nil, "report").check(t, exitDone, "", "no machines: rollcall has accepted no event yet\n")
}

// TestNotComplete: when an answer will be complete. A time that has passed is not given.
func TestNotComplete(t *testing.T) {
	a := &zoneFlags{UTC: true}
	settles, later := time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC), time.Now().Add(time.Hour)
	for _, c := range []struct {
		incompleteness
		want string
	}{
		{incompleteness{reasons: []string{"stale"}}, "the state of the stream of events is unknown: recent events may be missing"},
		{incompleteness{}, "nothing has been received since the loss"},
		{incompleteness{until: later}, "machines not heard from since the loss may be missing; complete after " + a.time(later)},
		{incompleteness{unsettled: 2, settles: settles, until: later}, "machines that have sent no boot, shutdown or present dated after 2020-01-01 00:00:00Z: 2; complete once they have, but not before " + a.time(later)},
		{incompleteness{unsettled: 2, settles: settles, until: settles}, "machines that have sent no boot, shutdown or present dated after 2020-01-01 00:00:00Z: 2; complete once they have"},
	} {
		if got := c.remedy(a); got != c.want {
			t.Errorf("%+v: remedy %s; want %s", c.incompleteness, got, c.want)
		}
	}
}

func TestReportNotComplete(t *testing.T) {
	answering(t, fold(map[uint64]roster.Event{1: login("web1", "lane"), 3: login("web2", "lane")}, 3), true)
	rollcall(t.Context(), nil, "report", "--utc").check(t, exitDone, "web1: lane\nweb2: lane\n",
		"rollcall: report: not complete (deleted); machines that have sent no boot, shutdown or present dated after 1970-01-01 00:10:01Z: 2; complete once they have\n")
	if r := rollcall(t.Context(), nil, "who", "web1", "--utc"); !strings.HasSuffix(r.err,
		"not complete (deleted); complete once the machine sends a boot, shutdown or present dated after 1970-01-01 00:10:01Z\n") {
		t.Errorf("who says %s", r.err)
	}
	if r := rollcall(t.Context(), nil, "status", "--utc"); !strings.Contains(strings.Join(strings.Fields(r.out), " "),
		"unsettled machines that have sent no boot, shutdown or present dated after 1970-01-01 00:10:01Z: 2 accept") || !strings.Contains(r.out, "ROLLCALL_ACCEPT_LOSS=2\n") {
		t.Errorf("status says %s", r.out)
	}
}

func TestReportNotCaughtUp(t *testing.T) {
	answering(t, roster.New(roster.DefaultSettings()), false)
	rollcall(t.Context(), nil, "report").check(t, exitFailed, "", "rollcall: report: rollcall answers: not caught up")
}

func TestReportWithoutService(t *testing.T) {
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	rollcall(t.Context(), nil, "report").check(t, exitFailed, "",
		"no rollcall answers on rollcall.query.report: is `rollcall serve` running on this NATS server? (NATS_URL="+s.URL+")\n")
}

func TestReportInterrupted(t *testing.T) {
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	ctx, interrupt := context.WithCancel(t.Context())
	interrupt()
	if r := rollcall(ctx, nil, "report"); r.code != exitFailed || r.out != "" {
		t.Errorf("%+v", r)
	}
}
