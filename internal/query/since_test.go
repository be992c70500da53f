package query

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/history"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// sinceText is when a session began: "3", or "3?" if it may have begun earlier.
func sinceText(s *api.Session) string {
	text := fmt.Sprintf("%s %d", s.User, int(s.Since.Sub(hour(0)).Hours()))
	if s.SinceExact != nil {
		text += "?"
	}
	return text
}

// TestSinceExact: answers about now tell when the stay began, as the history does, once
// the history has all events of the machine; until then what the roster knows, marked.
func TestSinceExact(t *testing.T) {
	m := remember(t, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Login("db1", "lane")), dated(3, kit.Login("web1", "lane")), dated(4, kit.Login("db1", "lane")),
	})
	m.freeze()
	on := func(machine string) (list []string) {
		for _, s := range one[api.MachineAnswer](t, m, "machine", api.MachineRequest{Machine: machine}).Sessions {
			list = append(list, sinceText(&s))
		}
		return list
	}
	of := func(user string) (list []string) {
		for _, s := range one[api.UserAnswer](t, m, "user", api.UserRequest{User: user}).Sessions {
			list = append(list, s.Machine+" "+sinceText(&s.Session))
		}
		return list
	}
	longest := func(n uint32, f api.Filter) (list []string) {
		a := one[api.LongestAnswer](t, m, "report", api.ReportRequest{Longest: &n, Filter: f})
		for _, s := range a.Sessions {
			list = append(list, s.Machine+" "+sinceText(&s.Session))
		}
		return list
	}
	check := func(what string, got []string, want ...string) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	check("machine", on("web1"), "lane 1")
	check("user", of("lane"), "db1 lane 2", "web1 lane 1")
	check("longest", longest(5, api.Filter{}), "web1 lane 1", "db1 lane 2")
	check("one", longest(1, api.Filter{}), "web1 lane 1")
	check("one of a glob", longest(1, api.Filter{Machines: "d*"}), "db1 lane 2")
	check("one of a name", longest(1, api.Filter{Names: []string{"db1"}}), "db1 lane 2")
	check("of those on several", longest(5, api.Filter{OnSeveral: true}), "web1 lane 1", "db1 lane 2")

	m.fold(dated(5, kit.Login("web1", "chris")), dated(6, kit.Login("mail", "chris")))
	check("machine with news", on("web1"), "chris 5?", "lane 3?")
	check("machine without", on("db1"), "lane 2")
	check("user on both", of("lane"), "db1 lane 2", "web1 lane 3?")
	check("longest of both", longest(5, api.Filter{}), "db1 lane 2", "web1 lane 3?", "web1 chris 5?", "mail chris 6?")
	check("two of both", longest(2, api.Filter{}), "db1 lane 2", "web1 lane 3?")
	check("of those on several of both", longest(9, api.Filter{OnSeveral: true, Machines: "web1"}), "web1 lane 3?", "web1 chris 5?")

	m.fold(dated(7, kit.Logout("db1", "lane")))
	check("without who left", longest(5, api.Filter{}), "web1 lane 3?", "web1 chris 5?", "mail chris 6?")

	without := &memory{nc: serve(t, source(m.roster)), roster: m.roster}
	a := one[api.MachineAnswer](t, without, "machine", api.MachineRequest{Machine: "web1"})
	check("no history", []string{sinceText(&a.Sessions[0])}, "chris 5?")
}

// TestUnknownUser: a user nobody has ever heard of is not found; one who has left is,
// also if the history does not have that yet.
func TestUnknownUser(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane")), dated(2, kit.Logout("web1", "lane"))})
	m.freeze()
	m.fold(dated(3, roster.Event{Type: roster.Present, Machine: "db1", Sessions: []roster.Session{{User: "chris"}}}), dated(4, roster.Event{Type: roster.Boot, Machine: "db1"}))
	for _, user := range []string{"lane", "chris"} {
		if a := one[api.UserAnswer](t, m, "user", api.UserRequest{User: user}); len(a.Sessions) != 0 {
			t.Errorf("%s: %+v", user, a)
		}
	}
	m.wantCode(t, "user", api.UserRequest{User: "nobody"}, rollcallv1.CodeNotFound, `user: "nobody" is unknown`)
	without := &memory{nc: serve(t, source(m.roster))}
	if a := one[api.UserAnswer](t, without, "user", api.UserRequest{User: "nobody"}); len(a.Sessions) != 0 {
		t.Errorf("%+v", a)
	}
}

// TestNames: a report of machines by name has those that it would have without, in
// order.
func TestNames(t *testing.T) {
	m := &memory{nc: serve(t, source(fleet(100, 2)))}
	name := func(i int) string { return fmt.Sprintf("machine-%06d.example.com", i) }
	names := []string{name(70), name(3), "none", name(3), name(99)}
	for _, limit := range []*uint32{nil, new(uint32(1)), new(uint32(2))} {
		var got []string
		for data, err := range client.Pages(t.Context(), m.nc, question1, api.ReportRequest{Limit: limit, Filter: api.Filter{Names: names}}) {
			if err != nil {
				t.Fatal(err)
			}
			for _, machine := range decodeReport(t, data).Machines {
				got = append(got, machine.Name)
			}
		}
		if want := []string{name(3), name(70), name(99)}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	many := make([]string, 300)
	for i := range many {
		many[i] = strings.Repeat(`"`, 255)
	}
	if answer, err := m.nc.Request(question1, []byte(`{"names":["`+strings.Join(slices.Repeat([]string{strings.Repeat(`\"`, 255)}, 300), `","`)+`"]}`), time.Minute); err != nil || len(answer.Header) > 0 {
		t.Errorf("%v, %v", answer.Header, err)
	}
	m.wantCode(t, "report", api.ReportRequest{Filter: api.Filter{Names: append(many, "a")}}, rollcallv1.CodeBadRequest, "names: 301 machines, at most 300")
	if answer, err := m.nc.Request(question1, []byte(`{"names":["a",1]}`), time.Minute); err != nil || !strings.Contains(fmt.Sprint(answer.Header), "names: want a string") {
		t.Errorf("%v, %v", answer.Header, err)
	}
}

// TestPastCursor: cursors of answers about the past are what they say, and no longer than
// the space that is reserved for them.
func TestPastCursor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := digestOf("report", anyFilter(t))
		number := rapid.Int64Range(0, math.MaxInt64)
		name := func(least int, label string) string {
			return rapid.StringMatching(fmt.Sprintf(`[a-z"\\]{%d,255}`, least)).Draw(t, label)
		}
		at := roster.Time(rapid.Int64Range(0, int64(roster.MaxDate)).Draw(t, "at"))
		after := cursor{first: name(1, "first"), second: name(0, "second")}
		text := d.momentCursor(at, after)
		if gotAt, got, err := d.parseMoment(text); gotAt != at || got != after || err != nil || len(text) > maxCursor {
			t.Fatalf("%s %+v: %s %+v, %v", at, after, gotAt, got, err)
		}
		key := history.StayKey{
			Since: roster.Time(number.Draw(t, "since")), Machine: number.Draw(t, "machine"), Class: rapid.IntRange(0, 64).Draw(t, "class"),
			N: number.Draw(t, "n"), User: number.Draw(t, "user"), Session: name(0, "session"),
		}
		text = d.stayCursor(&key)
		if got, err := d.parseStay(text); err != nil || *got != key || len(text) > maxCursor {
			t.Fatalf("%+v: %+v, %v", key, got, err)
		}
	})
}
