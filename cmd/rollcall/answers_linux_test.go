package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/api"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// goldenViews compares what a command prints on terminals of 60, 80 and 160 columns and in
// a pipe with a file of testdata/answers.
func goldenViews(t *testing.T, name, args string) {
	t.Helper()
	var all strings.Builder
	for _, columns := range []int{60, 80, 160} {
		tty := newTerminal(t, uint16(columns))
		code := run(t.Context(), strings.Fields(args), streams{nil, tty.File, tty.File})
		fmt.Fprintf(&all, "== %d columns\n", columns)
		for _, line := range tty.lines(t, columns) {
			fmt.Fprintln(&all, line)
		}
		if code != exitDone {
			t.Errorf("%s: exit code %d", args, code)
		}
	}
	piped := rollcall(t.Context(), nil, strings.Fields(args)...)
	fmt.Fprintf(&all, "== pipe\n%s== standard error of a pipe\n%s", piped.out, piped.err)
	golden(t, name, result{code: piped.code, out: all.String()})
}

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

// session is a login with every optional field.
func session(machine, user, id, terminal, remote, service string) roster.Event {
	e := kit.Login(machine, user)
	e.Session.ID, e.Session.Terminal, e.Session.Remote, e.Session.Service = id, terminal, remote, service
	return e
}

// office is a source of machines with all kinds of sessions. Its machines fall
// silent after an hour; web1 and db1 were heard 90 minutes before now.
func office() report.Source {
	r := roster.New(roster.DefaultSettings())
	late := func(e roster.Event) roster.Event {
		e.Date = roster.TimeOf(kit.At.Add(80 * time.Minute))
		return e
	}
	kit.Feed(
		r,
		session("web1", "lane", "c7", "pts/0", "10.0.0.7", "sshd"),
		session("web1", "lane", "c9", "tty1", "", ""),
		session("web1", `THESHIRE\pgustavo`, "0x3e7", "", "2001:db8:85a3::8a2e:370:7334", "winlogon, through a broker with a long name"),
		kit.Login("db1", "lane"),
		kit.Login("db1", "日本語"),
		kit.Logout("mail", "chris"),
	)
	position := r.Status().Position
	b := roster.Batch{End: position}
	for _, e := range []roster.Event{late(kit.Login("web2", "lane")), late(kit.Login("mail", "jordan")), late(kit.Logout("mail", "jordan"))} {
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
		"where-glob":  "where l* --utc",
		"where-parts": "where -m GUSTAVO --utc",
		"who-all":     "who --utc",
		"who-glob":    "who web* --utc",
		"who-remote":  "who -m --remote 10.0 --utc",
		"who-none":    "who none*",
		"who.csv":     "who web1 -o csv",
		"who.jsonl":   "who -o jsonl --fields user,machine,since,silent",
		"report.csv":  "report -o csv",

		"status.text": "status --utc",
		"status.json": "status --output json",

		"report":              "report",
		"report-glob":         "report web*",
		"report-several":      "report --user-on-several",
		"report-silent":       "report --silent-for 1h --utc",
		"report-longest":      "report --longest 3 --utc",
		"report-longest.json": "report web? --longest 2 --output json",
		"report-none":         "report none*",
		"report-none-long":    "report none* --longest 3",
	} {
		if strings.ContainsAny(name, ".") {
			got := rollcall(t.Context(), nil, strings.Fields(args)...)
			got.err = "" // what lists say of themselves; see the others
			golden(t, name, got)
		} else {
			goldenViews(t, name, args)
		}
	}
}

func TestStatusBeforeCaughtUp(t *testing.T) {
	answering(t, roster.New(roster.DefaultSettings()), false)
	got := rollcall(t.Context(), nil, "status")
	if got.code != exitDone || got.err != "" || !strings.Contains(got.out, "caught up     no, 3 messages to go\ncomplete      no, replaying\n") {
		t.Errorf("%+v", got)
	}
}

// Times are in the local zone by default.
func TestLocalTimes(t *testing.T) {
	answeringAt(t, office())
	rollcall(t.Context(), nil, "who", "mail").check(t, exitDone, "", "mail: nobody is logged in; last heard 2026-11-23 03:50:00\n")
}

// TestTimesOfChecks: so are the times in the text of a check.
func TestTimesOfChecks(t *testing.T) {
	var c statusCmd
	const state = "failing since 2026-11-22T21:00:00Z: away"
	if got, want := c.times(state), "failing since "+c.time(kit.At)+": away"; got != want || got == state {
		t.Errorf("got %s, want %s", got, want)
	}
	c.UTC = true
	if got := c.times(state); got != "failing since 2026-11-22 21:00:00Z: away" {
		t.Errorf("in UTC %s", got)
	}
}

func TestWhoUnknown(t *testing.T) {
	answeringAt(t, office())
	rollcall(t.Context(), nil, "who", "web9").check(t, exitFailed, "", `rollcall: who: rollcall answers: machine: "web9" is unknown`)
}

func TestAnswersWithoutService(t *testing.T) {
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	for endpoint, args := range map[string]string{"machine": "who m", "user": "where u"} {
		rollcall(t.Context(), nil, strings.Fields(args)...).check(t, exitFailed, "",
			fmt.Sprintf("no rollcall answers on rollcall.query.%s: is `rollcall serve` running on this NATS server? (NATS_URL=%s)\n", endpoint, s.URL))
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 59900 * time.Millisecond: "59s", 61 * time.Second: "1m1s", 3 * time.Hour: "3h",
		25*time.Hour + time.Minute: "1d1h", 1000 * 24 * time.Hour: "1000d",
	} {
		if got := span(d); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}

// The pages of a long report are printed as they arrive, and none is kept.
func TestReportInPages(t *testing.T) {
	s := kit.StartServer(t)
	kit.Environment(t, map[string]string{"NATS_URL": s.URL})
	printed := make(written, 100)
	nc := kit.Conn(t, s.URL)
	page := func(cursor string, machines ...api.Machine) []byte {
		r := api.Report{ID: "id", When: now, Stream: "S", Complete: true, Reasons: []string{}, Cursor: cursor, Machines: machines}
		return report.AppendJSON(nil, &r)
	}
	big := func(user string) api.Machine {
		return api.Machine{Name: "big", Heard: now, Users: []string{user}}
	}
	answers := map[string][]byte{
		"{}":             page("1", api.Machine{Name: "a", Heard: now, Users: []string{"x", "y"}}, big("k")),
		`{"cursor":"1"}`: page("2", big("l")),
		`{"cursor":"2"}`: page("", big("m"), api.Machine{Name: "c", Heard: now, Users: []string{"z"}}),
	}
	before := map[string]string{"{}": "", `{"cursor":"1"}`: "a: x, y\nbig: k", `{"cursor":"2"}`: "a: x, y\nbig: k, l"}
	_, err := nc.Subscribe("rollcall.query.report", func(m *nats.Msg) {
		if got := printed.all(); got != before[string(m.Data)] {
			t.Errorf("at request %s %q was printed, want %q", m.Data, got, before[string(m.Data)])
		}
		_ = m.Respond(answers[string(m.Data)])
	})
	if err != nil {
		t.Fatal(err)
	}
	if code := run(t.Context(), []string{"report"}, streams{nil, printed, printed}); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	if got, want := printed.all(), "a: x, y\nbig: k, l, m\nc: z\n3 of 3 machines in use, 6 users\n"; got != want {
		t.Errorf("printed %q, want %q", got, want)
	}
}

// written is a writer that another goroutine may read.
type written chan string

func (l written) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

// all returns what was written so far, without consuming it.
func (l written) all() string {
	var b strings.Builder
	for range len(l) {
		part := <-l
		b.WriteString(part)
		l <- part
	}
	return b.String()
}

func TestAnswersUsage(t *testing.T) {
	for _, args := range []string{
		"where", "who a b", "who --fields none -o csv", "who --fields user -o json", "who --fields user,user", "where a --output xml", "report a b", "report --longest 0", "report --longest 1001",
		"report --longest x", "report --silent-for 0s", "report --silent-for=-1h", "report --silent-for 1y", "report --longest 3 --user-on-several",
	} {
		if r := rollcall(t.Context(), nil, strings.Fields(args)...); r.code != exitUsage {
			t.Errorf("%s: %+v", args, r)
		}
	}
}
