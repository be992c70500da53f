package query

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"pgregory.net/rapid"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// town is a few machines and users with names that contain each other, in several cases.
var (
	townMachines = []string{"db1", "DB10", "web1.example.com", "web2.example.com", "büro-7", "#"}
	townUsers    = []string{"anna", `CORP\anna`, "Ann", "bob", "Öle"}
	townRemotes  = []string{"", "10.0.0.7", "10.0.0.70", "Bastion"}
)

// drawTown draws logins and logouts, an event an hour.
func drawTown(t *rapid.T) []roster.Event {
	events := make([]roster.Event, rapid.IntRange(0, 60).Draw(t, "events"))
	for i := range events {
		machine := rapid.SampledFrom(townMachines).Draw(t, "machine")
		user := rapid.SampledFrom(townUsers).Draw(t, "user")
		e := kit.Login(machine, user)
		if rapid.IntRange(0, 3).Draw(t, "logout") == 0 {
			e = kit.Logout(machine, user)
		}
		e.Session.ID = rapid.SampledFrom([]string{"", "c1", "c12"}).Draw(t, "id")
		if e.Type == roster.Login { // always the same details, as later ones may fill up the first
			n := len(machine) + len(user) + len(e.Session.ID)
			e.Session.Remote = townRemotes[n%len(townRemotes)]
			e.Session.Service = []string{"", "sshd", "gdm"}[n%3]
		}
		events[i] = dated(i+1, e)
	}
	return events
}

// plainSessions is what a plain program says of the events: the open sessions as
// lines, and the machines. A later session of the same name replaces one.
func plainSessions(events []roster.Event, q *api.SessionsRequest) (sessions, machines []string) {
	type key struct{ machine, id string }
	on := make(map[key]map[string]roster.Session) // by user: each has an implicit session
	for _, e := range events {
		if !slices.Contains(machines, e.Machine) {
			machines = append(machines, e.Machine)
		}
		k := key{e.Machine, e.Session.ID}
		switch {
		case e.Type == roster.Login && (k.id != "" || on[k] == nil):
			on[k] = map[string]roster.Session{e.Session.User: e.Session}
		case e.Type == roster.Login:
			on[k][e.Session.User] = e.Session
		case k.id != "": // whoever it names
			delete(on, k)
		default: // without a session it ends all of the user's
			for k := range on {
				if k.machine == e.Machine {
					delete(on[k], e.Session.User)
				}
			}
		}
	}
	has := func(value, wanted string) bool {
		return wanted == "" || value == wanted ||
			q.Parts && strings.Contains(strings.ToLower(value), strings.ToLower(wanted))
	}
	matches := func(name, pattern string) bool {
		if q.Parts {
			return has(name, pattern)
		}
		return api.Matches(pattern, name)
	}
	selected := func(machine string) bool {
		return (len(q.Names) == 0 || slices.Contains(q.Names, machine)) && matches(machine, q.Machines)
	}
	machines = slices.DeleteFunc(machines, func(m string) bool { return !selected(m) })
	for k, users := range on {
		for _, s := range users {
			if selected(k.machine) && matches(s.User, q.Users) && has(s.User, q.User) && has(s.Remote, q.Remote) && has(s.Service, q.Service) && has(k.id, q.ID) {
				sessions = append(sessions, fmt.Sprintf("%s %s %s", k.machine, s.User, k.id))
			}
		}
	}
	slices.Sort(sessions)
	slices.Sort(machines)
	return sessions, machines
}

// askedSessions returns the answer as plainSessions does.
func askedSessions(pages []api.SessionsAnswer) (sessions, machines []string) {
	for _, page := range pages {
		for _, m := range page.Machines {
			if !slices.Contains(machines, m.Name) {
				machines = append(machines, m.Name)
			}
			for _, s := range m.Sessions {
				sessions = append(sessions, fmt.Sprintf("%s %s %s", m.Name, s.User, s.ID))
			}
		}
	}
	slices.Sort(sessions)
	return sessions, machines
}

// TestSessions: who is on, and who was at any hour, is what a plain program says of the
// same events, whatever is asked for, and on pages of any size.
func TestSessions(t *testing.T) {
	towns := 8
	if kit.Full() {
		towns = 40
	}
	for seed := range towns {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			events := rapid.Custom(drawTown).Example(seed)
			m := remember(t, events)
			for i := range 60 {
				q := rapid.Custom(drawSessionsRequest).Example(100*seed + i)
				until := len(events)
				if i%2 == 0 {
					until = rapid.IntRange(0, len(events)).Example(100*seed + i)
					q.At = hour(until).Format(time.RFC3339)
				}
				m.checkSessions(t, events, until, &q)
			}
		})
	}
}

func drawSessionsRequest(t *rapid.T) (q api.SessionsRequest) {
	q.Machines = rapid.SampledFrom([]string{"", "", "db", "web*", "*[0-9]", "B"}).Draw(t, "machines")
	q.User = rapid.SampledFrom([]string{"", "", "anna", "ANN", "ö"}).Draw(t, "user")
	q.Users = rapid.SampledFrom([]string{"", "", "*n*", "ann?", "A"}).Draw(t, "users")
	q.Remote = rapid.SampledFrom([]string{"", "", "", "10.0.0.7", "bastion"}).Draw(t, "remote")
	q.Service = rapid.SampledFrom([]string{"", "", "", "sshd", "SSH"}).Draw(t, "service")
	q.ID = rapid.SampledFrom([]string{"", "", "", "c1"}).Draw(t, "session")
	q.Parts = rapid.Bool().Draw(t, "parts")
	if rapid.Bool().Draw(t, "named") {
		q.Names = []string{"web1.example.com", "db1", "unheard", "db1", "#"}
	}
	if rapid.Bool().Draw(t, "limited") {
		q.Limit = new(uint32(rapid.IntRange(1, 3).Draw(t, "limit")))
	}
	return q
}

// checkSessions compares the answer with that of a plain program about the events up to one.
// Of a user of whom none of all tells it is an error.
func (m *memory) checkSessions(t *testing.T, all []roster.Event, until int, q *api.SessionsRequest) {
	t.Helper()
	events := all[:until]
	want, machines := plainSessions(events, q)
	told := slices.ContainsFunc(all, func(e roster.Event) bool { return e.Session.User == q.User })
	if q.User != "" && !q.Parts && !told {
		m.wantCode(t, "sessions", q, rollcallv1.CodeNotFound, "is unknown")
		return
	}
	pages := pagesOf[api.SessionsAnswer](t, m.nc, "sessions", q)
	got, gotMachines := askedSessions(pages)
	if !slices.Equal(got, want) {
		t.Fatalf("%+v of %+v: got %q, want %q", q, events, got, want)
	}
	if q.User+q.Users+q.Remote+q.Service+q.ID == "" && !slices.Equal(gotMachines, machines) {
		t.Fatalf("%+v of %+v: got machines %q, want %q", q, events, gotMachines, machines)
	}
	for i := range pages {
		if n := sessionsOn(&pages[i]); q.Limit != nil && n > int(*q.Limit) {
			t.Fatalf("%+v: %d sessions on a page", q, n)
		}
	}
}

func sessionsOn(page *api.SessionsAnswer) (n int) {
	for _, m := range page.Machines {
		n += len(m.Sessions)
	}
	return n
}

// TestSessionsSince: sessions began when the history says that they did.
func TestSessionsSince(t *testing.T) {
	events := []roster.Event{
		dated(1, detailed("web1", "lane", "c7")),
		dated(2, detailed("web1", "lane", "c7")),
		dated(3, kit.Login("web2", "lane")),
		dated(4, kit.Logout("web3", "lane")),
	}
	m := remember(t, events)
	want := []api.MachineSessions{
		{Name: "web1", Changed: hour(2), Sessions: []api.Session{{User: "lane", ID: "c7", Since: hour(1), Terminal: "pts/0", Remote: "10.0.0.7", Service: "sshd"}}},
		{Name: "web2", Changed: hour(3), Sessions: []api.Session{{User: "lane", Since: hour(3)}}},
		{Name: "web3", Changed: hour(4), Sessions: []api.Session{}},
	}
	read := func() []api.MachineSessions {
		a := one[api.SessionsAnswer](t, m, "sessions", &api.SessionsRequest{})
		for i := range a.Machines {
			if a.Machines[i].Heard.IsZero() {
				t.Errorf("%s was never heard", a.Machines[i].Name)
			}
			a.Machines[i].Heard = time.Time{}
		}
		return a.Machines
	}
	one[api.PastReport](t, m, "report", &api.ReportRequest{Moment: momentAt(5)}) // waits until all is written
	if got := read(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	m.freeze()
	m.fold(dated(6, kit.Login("web2", "lane")))
	want[1].Changed, want[1].Sessions[0] = hour(6), api.Session{User: "lane", Since: hour(6), SinceExact: inexact}
	if got := read(); !reflect.DeepEqual(got, want) {
		t.Errorf("not yet in the history: got %+v, want %+v", got, want)
	}
}

// TestManySessionsInPages: sessions that do not fit in one message are on several pages,
// each once; also those of one machine.
func TestManySessionsInPages(t *testing.T) {
	var events []roster.Event
	for i := range 300 {
		events = append(events, dated(i%24, detailed("big", fmt.Sprintf("user-%03d", i%50), fmt.Sprintf("session-%03d", i))),
			dated(i%24, kit.Login(fmt.Sprintf("machine-%03d", i), "somebody")))
	}
	m := remember(t, events, func(o *server.Options) { o.MaxPayload = 4 << 10 })
	for _, q := range []api.SessionsRequest{{}, {Moment: momentAt(24)}} {
		seen := make(map[string]bool)
		pages := pagesOf[api.SessionsAnswer](t, m.nc, "sessions", &q)
		sessions, machines := askedSessions(pages)
		for _, s := range sessions {
			seen[s] = true
		}
		if len(pages) < 10 || len(sessions) != 600 || len(seen) != 600 || len(machines) != 301 {
			t.Errorf("%+v: %d pages with %d sessions, %d of them different, on %d machines", q, len(pages), len(sessions), len(seen), len(machines))
		}
	}
}

func TestBadSessions(t *testing.T) {
	m := remember(t, nil)
	for _, test := range []struct {
		request api.SessionsRequest
		want    string
	}{
		{api.SessionsRequest{User: long(256)}, "user: "},
		{api.SessionsRequest{Machines: long(256)}, "machines: "},
		{api.SessionsRequest{Names: []string{""}}, "names: "},
		{api.SessionsRequest{Limit: new(uint32(0))}, "limit: "},
		{api.SessionsRequest{Cursor: "!"}, "cursor: "},
		{api.SessionsRequest{Moment: api.Moment{At: "noon"}}, "at: "},
		{api.SessionsRequest{Moment: momentAt(1), Cursor: cursor{first: "a"}.String()}, "cursor: "},
	} {
		m.wantCode(t, "sessions", &test.request, rollcallv1.CodeBadRequest, test.want)
	}
}

// TestFind: names that contain a text are found, the nearest first, of machines and users
// of now and of the past.
func TestFind(t *testing.T) {
	m := remember(t, []roster.Event{
		dated(1, kit.Login("db1", "anna")),
		dated(2, kit.Login("DB1", `CORP\anna`)),
		dated(3, kit.Login("db10.example.com", "ann")),
		dated(4, kit.Login("web-db1", "susanna")),
		dated(5, kit.Login("webdb1", "bob")),
		dated(6, kit.Logout("webdb1", "bob")),
		dated(7, kit.Login("ΣΟΦΟΣ", "Öle")),
	})
	one[api.PastReport](t, m, "report", &api.ReportRequest{Moment: momentAt(8)}) // waits until all is written
	for _, test := range []struct {
		text, kind      string
		limit           uint32
		machines, users string
		more            bool
	}{
		{"db1", api.Machines, 20, "db1 DB1 db10.example.com web-db1 webdb1", "", false},
		{"DB1", api.Machines, 2, "DB1 db1", "", true},
		{"anna", api.Users, 20, "", `anna CORP\anna susanna`, false},
		{"ANN", "", 20, "", `ann anna CORP\anna susanna`, false},
		{"bob", "", 20, "", "bob", false}, // is not on
		{"ö", "", 20, "", "Öle", false},
		{"σοφος", "", 20, "ΣΟΦΟΣ", "", false},
		{"", api.Users, 3, "", `CORP\anna ann anna`, true},
		{"nobody", "", 20, "", "", false},
	} {
		a := one[api.FindAnswer](t, m, "find", &api.FindRequest{Text: test.text, Kind: test.kind, Limit: &test.limit})
		machines, users := strings.Join(a.Machines, " "), strings.Join(a.Users, " ")
		if machines != test.machines || users != test.users || a.Partial || (a.MoreMachines || a.MoreUsers) != test.more {
			t.Errorf("%q: got %q and %q, %+v; want %q and %q", test.text, machines, users, a, test.machines, test.users)
		}
	}
	for _, bad := range []api.FindRequest{{Text: long(256)}, {Kind: "x"}, {Limit: new(uint32(0))}, {Limit: new(uint32(201))}} {
		m.wantCode(t, "find", &bad, rollcallv1.CodeBadRequest, ": ")
	}
}

// TestFindNearest: what is found is what sorting all names by nearness gives.
func TestFindNearest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		names := rapid.SliceOf(rapid.StringMatching(`[abAB.]{1,6}`)).Draw(t, "names")
		q := &findRequest{api.FindRequest{
			Text:  rapid.StringMatching(`[abA.]{0,2}`).Draw(t, "text"),
			Limit: new(uint32(rapid.IntRange(1, 5).Draw(t, "limit"))),
		}}
		n := newNearest(q)
		var all []near
		for _, name := range names {
			n.add(name)
			if rank := n.rank(name); rank >= 0 {
				all = append(all, near{rank, name})
			}
			if contains := strings.Contains(strings.ToLower(name), strings.ToLower(q.Text)); contains != (n.rank(name) >= 0) {
				t.Fatalf("%q in %q: %t", q.Text, name, contains)
			}
		}
		slices.SortFunc(all, n.compare)
		all = slices.Compact(all)
		var want []string
		for _, near := range all[:min(len(all), int(*q.Limit))] {
			want = append(want, near.name)
		}
		got, more := n.list()
		if !slices.Equal(got, want) || more != (len(all) > len(want)) {
			t.Fatalf("got %q, more %t; want %q of %d", got, more, want, len(all))
		}
	})
}

// TestHistoryParts: what is asked for by parts, or as open only, is what a plain program
// selects of the whole history.
func TestHistoryParts(t *testing.T) {
	m := remember(t, rapid.Custom(drawTown).Filter(func(events []roster.Event) bool { return len(events) > 40 }).Example(1))
	all := one[api.HistoryAnswer](t, m, "history", &api.HistoryRequest{}).Sessions
	if len(all) < 10 {
		t.Fatalf("%d sessions", len(all))
	}
	for _, q := range []api.HistoryRequest{
		{Machines: "DB1", Parts: true},
		{User: "ANNA", Parts: true},
		{User: "anna", Remote: "0.7", Parts: true},
		{Service: "SSH", Parts: true, Open: true},
		{Machine: "db1", User: "a", Parts: true},
		{Remote: "10.0.0.7"},
		{User: "anna", Open: true},
	} {
		has := func(value, wanted string) bool {
			return wanted == "" || value == wanted || q.Parts && strings.Contains(strings.ToLower(value), strings.ToLower(wanted))
		}
		var want []api.PastStay
		for _, s := range all {
			if (q.Machine == "" || s.Machine == q.Machine) && has(s.Machine, q.Machines) && has(s.User, q.User) &&
				has(s.Remote, q.Remote) && has(s.Service, q.Service) && (!q.Open || s.How == "open") {
				want = append(want, s)
			}
		}
		if got := one[api.HistoryAnswer](t, m, "history", &q).Sessions; len(want) == 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v: got %+v, want %+v", q, got, want)
		}
	}
}

// TestHistoryOfTheFuture: a history that begins in the future is that of now, and says so.
func TestHistoryOfTheFuture(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane"))})
	later := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	if a := one[api.HistoryAnswer](t, m, "history", &api.HistoryRequest{From: later}); !a.Past.Future || a.Past.At.IsZero() || len(a.Sessions) != 1 {
		t.Errorf("%+v", a)
	}
	if a := one[api.HistoryAnswer](t, m, "history", &api.HistoryRequest{To: later}); a.Past.Future {
		t.Errorf("%+v", a)
	}
}

// TestSessionsOfUnknown: a user of whom no event ever told is an error, now and at a past
// moment.
func TestSessionsOfUnknown(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane")), dated(2, kit.Logout("web1", "lane"))})
	one[api.PastReport](t, m, "report", &api.ReportRequest{Moment: momentAt(3)}) // waits until all is written
	for _, at := range []api.Moment{{}, momentAt(1)} {
		m.wantCode(t, "sessions", &api.SessionsRequest{User: "nobody", Moment: at}, rollcallv1.CodeNotFound, `user: "nobody" is unknown`)
		one[api.SessionsAnswer](t, m, "sessions", &api.SessionsRequest{User: "lane", Moment: at})
		one[api.SessionsAnswer](t, m, "sessions", &api.SessionsRequest{User: "nobody", Parts: true, Moment: at})
	}
}
