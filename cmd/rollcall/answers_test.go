package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/testkit"
)

// golden compares what a command prints with a file of testdata/answers.
func golden(t *testing.T, name string, got result) {
	t.Helper()
	if got.code != exitDone || got.err != "" {
		t.Fatalf("%+v", got)
	}
	path := filepath.Join("testdata", "answers", name)
	if *update {
		if err := os.WriteFile(path, []byte(got.out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil || got.out != string(want) {
		t.Errorf("%s: got\n%swant\n%s(%v)", path, got.out, want, err)
	}
}

// session is a login with all that it may say.
func session(machine, user, id, terminal, remote, service string) roster.Event {
	e := testkit.Login(machine, user)
	e.Session.ID, e.Session.Terminal, e.Session.Remote, e.Session.Service = id, terminal, remote, service
	return e
}

// office is a source of machines with all kinds of sessions. Its machines fall
// silent after an hour; web1 and db1 were heard 90 minutes before now.
func office() report.Source {
	r := roster.New(roster.DefaultSettings())
	late := func(e roster.Event) roster.Event {
		e.Date = roster.TimeOf(testkit.At.Add(80 * time.Minute))
		return e
	}
	testkit.Feed(
		r,
		session("web1", "lane", "c7", "pts/0", "10.0.0.7", "sshd"),
		session("web1", "lane", "c9", "tty1", "", ""),
		session("web1", `THESHIRE\pgustavo`, "0x3e7", "", "2001:db8:85a3::8a2e:370:7334", "winlogon, through a broker with a long name"),
		testkit.Login("db1", "lane"),
		testkit.Login("db1", "日本語"),
		testkit.Logout("mail", "chris"),
	)
	position := r.Status().Position
	b := roster.Batch{End: position}
	for _, e := range []roster.Event{late(testkit.Login("web2", "lane")), late(testkit.Login("mail", "jordan")), late(testkit.Logout("mail", "jordan"))} {
		b.End.Place++
		b.Messages = append(b.Messages, roster.Message{Place: b.End.Place, Receipt: e.Date, Event: e})
	}
	r.Fold(&b)
	return report.Source{Roster: r, Stream: "EVENTS", CaughtUp: func() bool { return true }, SilentAfter: time.Hour}
}

func TestAnswers(t *testing.T) {
	answeringAt(t, office())
	for name, args := range map[string]string{
		"who":         "who web1 --utc",
		"who.json":    "who web1 --output json",
		"who-nobody":  "who mail --utc",
		"where":       "where lane --utc",
		"where.json":  "where lane --output json",
		"where-wide":  "where 日本語 --utc",
		"where-never": "where nobody",
	} {
		golden(t, name, rollcall(t.Context(), nil, strings.Fields(args)...))
	}
}

// Times are in the local zone unless it is said otherwise.
func TestLocalTimes(t *testing.T) {
	local := time.Local
	time.Local = time.FixedZone("there", 5*60*60+30*60)
	t.Cleanup(func() { time.Local = local })
	answeringAt(t, office())
	rollcall(t.Context(), nil, "who", "mail").check(t, exitDone, "mail: nobody is logged in; last heard 2026-11-23 03:50:00\n", "")
}

func TestWhoUnknown(t *testing.T) {
	answeringAt(t, office())
	rollcall(t.Context(), nil, "who", "web9").check(t, exitFailed, "", `rollcall: who: rollcall answers: machine: "web9" is not known`)
}

func TestAnswersWithoutService(t *testing.T) {
	s := testkit.StartServer(t)
	environment(t, map[string]string{"NATS_URL": s.URL})
	for endpoint, args := range map[string]string{"machine": "who m", "user": "where u"} {
		rollcall(t.Context(), nil, strings.Fields(args)...).check(t, exitFailed, "",
			fmt.Sprintf("no rollcall answers on rollcall.query.%s: is `rollcall serve` running on this NATS server? (NATS_URL=%s)\n", endpoint, s.URL))
	}
}

func TestAnswersUsage(t *testing.T) {
	for _, args := range []string{"who", "where", "who a b", "where a --output xml"} {
		if r := rollcall(t.Context(), nil, strings.Fields(args)...); r.code != exitUsage {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
