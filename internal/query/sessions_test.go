package query

import (
	"cmp"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// pagesOf asks for all pages of an answer.
func pagesOf[A any, P api.Answer[A]](t testing.TB, nc *nats.Conn, endpoint string, request any) []A {
	t.Helper()
	var pages []A
	for data, err := range client.Pages(t.Context(), nc, subjects.Query(endpoint), request) {
		if err != nil {
			t.Fatal(err)
		}
		page, err := api.Decode[A, P](data)
		if err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		pages = append(pages, page)
	}
	return pages
}

// detailed returns a login with all details.
func detailed(machine, user, id string) roster.Event {
	e := kit.Login(machine, user)
	e.Session.ID, e.Session.Terminal, e.Session.Remote, e.Session.Service = id, "pts/0", "10.0.0.7", "sshd"
	return e
}

// second returns a time this number of seconds after the first receipt.
func second(n int) time.Time { return kit.At.Add(time.Duration(n) * time.Second) }

func TestMachine(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, detailed("web1", "lane", "c7"), kit.Login("web1", "lane"), kit.Login("web1", "chris"),
		kit.Login("web2", "jordan"), kit.Logout("web2", "jordan"))
	nc := serve(t, source(r))
	got := pagesOf[api.MachineAnswer](t, nc, "machine", api.MachineRequest{Machine: "web1"})
	want := []api.MachineAnswer{{
		Head: got[0].Head, Machine: "web1", Heard: second(3), Newest: second(3), Changed: second(3), Sessions: []api.Session{
			{User: "chris", Since: second(3), SinceExact: inexact},
			{User: "lane", Since: second(2), SinceExact: inexact},
			{User: "lane", ID: "c7", Since: second(1), SinceExact: inexact, Terminal: "pts/0", Remote: "10.0.0.7", Service: "sshd"},
		},
	}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if h := got[0].Head; h.Stream != "ROLLCALL_EVENTS" || h.Place != 5 || h.Sequence != 5 || !h.Complete || h.Reasons == nil {
		t.Errorf("head %+v", h)
	}
	nobody := pagesOf[api.MachineAnswer](t, nc, "machine", api.MachineRequest{Machine: "web2"})
	if len(nobody) != 1 || len(nobody[0].Sessions) != 0 || !nobody[0].Heard.Equal(second(5)) {
		t.Errorf("got %+v", nobody)
	}
}

func TestUser(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, kit.Login("web2", "lane"), detailed("web1", "lane", "c7"), kit.Login("web1", "lane"), kit.Login("web1", "chris"))
	nc := serve(t, source(r))
	got := pagesOf[api.UserAnswer](t, nc, "user", api.UserRequest{User: "lane"})
	want := []api.UserAnswer{{Head: got[0].Head, User: "lane", Sessions: []api.Stay{
		{Machine: "web1", Session: api.Session{User: "lane", Since: second(3), SinceExact: inexact}},
		{Machine: "web1", Session: api.Session{User: "lane", ID: "c7", Since: second(2), SinceExact: inexact, Terminal: "pts/0", Remote: "10.0.0.7", Service: "sshd"}},
		{Machine: "web2", Session: api.Session{User: "lane", Since: second(1), SinceExact: inexact}},
	}}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if nowhere := pagesOf[api.UserAnswer](t, nc, "user", api.UserRequest{User: "nobody"}); len(nowhere) != 1 || nowhere[0].Sessions == nil || len(nowhere[0].Sessions) != 0 {
		t.Errorf("got %+v, want no sessions", nowhere)
	}
}

// TestSessionsInPages: sessions that don't fit in one message are split into pages,
// each session once.
func TestSessionsInPages(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	var machine []api.Session
	var user []api.Stay
	for i := range 300 {
		e := detailed("big", fmt.Sprintf("user-%d", i%7), fmt.Sprintf("session-%d", i))
		other := kit.Login(fmt.Sprintf("machine-%d", i), "everywhere")
		kit.Feed(r, e, other)
		machine = append(machine, api.Session{User: e.Session.User, ID: e.Session.ID, Since: second(2*i + 1), SinceExact: inexact, Terminal: "pts/0", Remote: "10.0.0.7", Service: "sshd"})
		user = append(user, api.Stay{Machine: other.Machine, Session: api.Session{User: "everywhere", Since: second(2*i + 2), SinceExact: inexact}})
	}
	kit.Feed(r, kit.Login("big", "user-3"))
	machine = append(machine, api.Session{User: "user-3", Since: second(601), SinceExact: inexact})
	slices.SortFunc(machine, func(a, b api.Session) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
	})
	slices.SortFunc(user, func(a, b api.Stay) int { return strings.Compare(a.Machine, b.Machine) })

	nc := serve(t, source(r), func(o *server.Options) { o.MaxPayload = 4 << 10 })
	var gotMachine []api.Session
	pages := pagesOf[api.MachineAnswer](t, nc, "machine", api.MachineRequest{Machine: "big"})
	for _, page := range pages {
		gotMachine = append(gotMachine, page.Sessions...)
	}
	if len(pages) < 10 || !reflect.DeepEqual(gotMachine, machine) {
		t.Errorf("%d pages with %d sessions, want %d", len(pages), len(gotMachine), len(machine))
	}
	var gotUser []api.Stay
	for _, page := range pagesOf[api.UserAnswer](t, nc, "user", api.UserRequest{User: "everywhere"}) {
		gotUser = append(gotUser, page.Sessions...)
	}
	if !reflect.DeepEqual(gotUser, user) {
		t.Errorf("%d sessions, want %d", len(gotUser), len(user))
	}
}

func TestSilentAnswers(t *testing.T) {
	s := source(kit.Seed())
	s.SilentAfter = time.Hour
	nc := serve(t, s) // today is long after
	if got := pagesOf[api.MachineAnswer](t, nc, "machine", api.MachineRequest{Machine: "webserver.local"}); !got[0].Silent {
		t.Errorf("got %+v, want silent", got)
	}
	if got := pagesOf[api.UserAnswer](t, nc, "user", api.UserRequest{User: "lane"}); !got[0].Sessions[0].Silent {
		t.Errorf("got %+v, want silent", got)
	}
	if got := fetch(t, nc, 0); !got[0].Machines[0].Silent {
		t.Errorf("got %+v, want silent", got)
	}
}

func TestRefusedQuestions(t *testing.T) {
	nc := serve(t, source(kit.Seed()))
	for _, tt := range []struct{ endpoint, request, code, want string }{
		{"machine", `{"machine":"none"}`, "404", `machine: "none" is unknown`},
		{"machine", `{"machine":"a\nb"}`, "404", `machine: "a\nb" is unknown`},
		{"machine", ``, "400", "machine: missing"},
		{"machine", `{"machine":""}`, "400", "machine: missing"},
		{"machine", `{"machine":null}`, "400", "machine: missing"},
		{"machine", `{"machine":1}`, "400", "machine: want a string"},
		{"machine", `{"machine":"` + long(256) + `"}`, "400", "machine: 256 bytes, at most 255"},
		{"machine", `{"machine":"a","cursor":"!"}`, "400", "cursor: "},
		{"machine", `{"machine":"a","when":"2026-11-22T21:00:00Z"}`, "400", `"when": unknown key: want machine, at, cursor`},
		{"user", ``, "400", "user: missing"},
		{"user", `{"user":["a"]}`, "400", "user: want a string"},
		{"user", `{"machine":"a"}`, "400", `"machine": unknown key: want user, at, cursor`},
	} {
		m, err := nc.Request(subjects.Query(tt.endpoint), []byte(tt.request), time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		code, description := m.Header.Get(micro.ErrorCodeHeader), m.Header.Get(micro.ErrorHeader)
		if code != tt.code || !strings.HasPrefix(description, tt.want) {
			t.Errorf("%s %.50s: %s %q, want %s %q", tt.endpoint, tt.request, code, description, tt.code, tt.want)
		}
	}
}
