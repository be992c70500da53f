package query

import (
	"encoding/json"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/micro"
	"pgregory.net/rapid"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// anyFleet returns a roster of a few machines and users, heard a second apart.
func anyFleet(t *rapid.T) *roster.Roster {
	r := roster.New(roster.DefaultSettings())
	for range rapid.IntRange(0, 30).Draw(t, "events") {
		machine := rapid.SampledFrom([]string{"web1", "web2", "web3", "db1", "db2"}).Draw(t, "machine")
		user := rapid.SampledFrom([]string{"lane", "chris", "jordan", "alex"}).Draw(t, "user")
		e := kit.Login(machine, user)
		e.Session.ID = rapid.SampledFrom([]string{"", "1", "2"}).Draw(t, "session")
		if rapid.IntRange(0, 3).Draw(t, "type") == 0 {
			e.Type = roster.Logout
		}
		e.Date = roster.TimeOf(kit.At.Add(time.Duration(rapid.IntRange(-5, 5).Draw(t, "date")) * time.Second))
		kit.Feed(r, e)
	}
	return r
}

func anyFilter(t *rapid.T) api.Filter {
	return api.Filter{
		Machines:  rapid.SampledFrom([]string{"", "*", "web*", "*1", "web2", "none"}).Draw(t, "machines"),
		Names:     rapid.SampledFrom([][]string{nil, nil, {"web2"}, {"none"}, {"web3", "db1", "none", "db1"}}).Draw(t, "names"),
		OnSeveral: rapid.Bool().Draw(t, "several"),
		SilentFor: rapid.SampledFrom([]string{"", "1s", "7s", "15s", "1m"}).Draw(t, "silent"),
	}
}

// among applies a filter to a whole report, without the code under test.
func among(f api.Filter, whole []api.Machine, now time.Time) []api.Machine {
	count := make(map[string]int)
	for _, m := range whole {
		for _, user := range m.Users {
			count[user]++
		}
	}
	list := []api.Machine{}
	for _, m := range whole {
		if f.OnSeveral {
			m.Users = slices.DeleteFunc(m.Users, func(user string) bool { return count[user] < 2 })
		}
		name := regexp.MustCompile("^" + strings.ReplaceAll(f.Machines, "*", ".*"))
		silence, _ := time.ParseDuration(f.SilentFor)
		if name.MatchString(m.Name) && (f.Names == nil || slices.Contains(f.Names, m.Name)) && (f.SilentFor == "" || now.Sub(m.Heard) > silence) && (!f.OnSeveral || len(m.Users) > 0) {
			list = append(list, m)
		}
	}
	return list
}

// TestFilteredAnswers: whatever the filter, the limit and the size, the joined
// answers are the filtered whole.
func TestFilteredAnswers(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyFleet(t)
		q := &reportRequest{ReportRequest: api.ReportRequest{Limit: new(rapid.Uint32Range(1, 5).Draw(t, "limit")), Filter: anyFilter(t)}}
		now := kit.At.Add(20 * time.Second)
		var answers []api.Report
		for {
			if err := q.check(); err != nil {
				t.Fatal(err)
			}
			rows, more := collectRows(r, q, now, 500)
			b, next := appendRows(nil, rows, more, 500)
			page := api.Report{ID: "id"}
			if err := json.Unmarshal(slices.Concat([]byte("["), b, []byte("]")), &page.Machines); err != nil {
				t.Fatal(err)
			}
			answers = append(answers, page)
			if q.Cursor = next; next == "" {
				break
			}
		}
		want := among(q.Filter, machines(r), now)
		if got, err := api.Join(all(answers...)); err != nil || !reflect.DeepEqual(got.Machines, want) {
			t.Fatalf("got %+v, %v; want %+v", got.Machines, err, want)
		}
	})
}

func TestLongest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := anyFleet(t)
		n := rapid.IntRange(1, 10).Draw(t, "n")
		q := &reportRequest{ReportRequest: api.ReportRequest{Filter: anyFilter(t), Longest: new(uint32(n))}}
		want := []api.Stay{}
		for _, m := range among(q.Filter, machines(r), kit.At) {
			var open []roster.Session
			r.Machine(m.Name, func(v roster.View) { open = v.AppendSessions(nil) })
			for _, s := range open {
				if slices.Contains(m.Users, s.User) {
					stay := api.Stay{Machine: m.Name, Session: sessionOf(&s)}
					stay.SinceExact = inexact
					want = append(want, stay)
				}
			}
		}
		slices.SortStableFunc(want, func(a, b api.Stay) int { return a.Since.Compare(b.Since) })
		want = want[:min(n, len(want))]
		if err := q.check(); err != nil {
			t.Fatal(err)
		}
		l := newLongest(q)
		New(Config{Source: source(r)}).addLongest(q, &api.Head{When: kit.At}, l)
		if !reflect.DeepEqual(l.stays, want) {
			t.Fatalf("got %+v, want %+v", l.stays, want)
		}
	})
}

func TestLongestAnswer(t *testing.T) {
	r := fleet(1000, 1)
	nc := serve(t, source(r), func(o *server.Options) { o.MaxPayload = 16 << 10 })
	got := pagesOf[api.LongestAnswer](t, nc, "report", api.ReportRequest{Longest: new(uint32(3)), Filter: api.Filter{Machines: "*5.example.com"}})
	if len(got) != 1 || len(got[0].Sessions) != 3 {
		t.Fatalf("got %+v", got)
	}
	for i, stay := range got[0].Sessions {
		if want := fmt.Sprintf("machine-%06d.example.com", 10*i+5); stay.Machine != want || !stay.Since.Equal(second(10*i+6)) {
			t.Errorf("number %d is %+v, want one on %s", i, stay, want)
		}
	}
	_, err := client.One(t.Context(), nc, question1, api.ReportRequest{Longest: new(uint32(1000))})
	if err == nil || !strings.Contains(err.Error(), "longest: 1000 sessions don't fit in one answer: ask for fewer") {
		t.Errorf("got %v", err)
	}
}

func TestBadFilters(t *testing.T) {
	nc := serve(t, source(kit.Seed()))
	for request, want := range map[string]string{
		`{"machines":"web*","on_several":true,"silent_for":"1h","limit":1}`: "",
		`{"longest":1000}`:                 "",
		`{"machines":1}`:                   "machines: want a string",
		`{"machines":"` + long(256) + `"}`: "machines: 256 bytes, at most 255",
		`{"on_several":"yes"}`:             "on_several: want true or false",
		`{"silent_for":"1d"}`:              "silent_for: want a number",
		`{"silent_for":"0s"}`:              "silent_for: want a number",
		`{"silent_for":"-1h"}`:             "silent_for: want a number",
		`{"silent_for":3600}`:              "silent_for: want a string",
		`{"longest":0}`:                    "longest: want 1 to 1000",
		`{"longest":1001}`:                 "longest: want 1 to 1000",
		`{"longest":-1}`:                   "longest: want a whole number",
		`{"longest":5,"limit":5}`:          "longest: has no pages",
		`{"longest":5,"cursor":"YQ"}`:      "longest: has no pages",
		`{"when":"2026-11-22T21:00:00Z"}`:  `"when": unknown key: want cursor, limit, machines, names, on_several, silent_for, at, longest`,
		`{"at":"2026-11-22","longest":5}`:  "at: not together with",
		`{"at":5}`:                         "at: want a string",
		`{"at":"2026-11-22"}`:              "at: want a time in RFC 3339",
	} {
		m, err := nc.Request(question1, []byte(request), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		code, description := m.Header.Get(micro.ErrorCodeHeader), m.Header.Get(micro.ErrorHeader)
		if want == "" && description != "" || want != "" && (code != "400" || !strings.HasPrefix(description, want)) {
			t.Errorf("%.50s: %s %q, want %q", request, code, description, want)
		}
	}
}
