package query

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/history"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// memory is a roster and its history, and the service that answers from them.
type memory struct {
	nc      *nats.Conn
	roster  *roster.Roster
	history *history.History
	// freeze ends the writing of the history: what is folded later is not in it.
	freeze func()
}

// remember folds events, writes them to a history, and answers for both until the test
// ends.
func remember(t *testing.T, events []roster.Event, options ...func(*server.Options)) *memory {
	t.Helper()
	m := &memory{roster: roster.New(roster.DefaultSettings())}
	m.history = history.Open(history.Config{
		Dir: t.TempDir(), Roster: m.roster, Keep: time.Duration(roster.MaxDate), MaxBytes: 1 << 30,
		CaughtUp: func() bool { return true },
		Restore:  func(uint64) (*roster.Roster, error) { return nil, nil },
		Read: func(ctx context.Context, _ roster.Position, _ func(history.Decode)) error {
			<-ctx.Done() // there is no stream
			return nil
		},
		Log: kit.Logger(t), Registry: prometheus.NewRegistry(),
	})
	ctx, end := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		m.history.Run(ctx)
	}()
	m.freeze = func() { end(); <-ended }
	t.Cleanup(func() {
		m.freeze()
		m.history.Close()
	})
	m.fold(events...)
	m.answer(t, options...)
	return m
}

// answer answers questions until the test ends.
func (m *memory) answer(t *testing.T, options ...func(*server.Options)) {
	t.Helper()
	url := kit.StartServer(t, options...).URL
	m.nc = kit.Conn(t, url)
	runService(t, New(Config{
		Source: report.Source{Roster: m.roster, Stream: "E", CaughtUp: func() bool { return true }},
		Conn:   kit.Conn(t, url), Subjects: subjects, Log: kit.Logger(t), History: m.history,
	}))
	kit.Eventually(t, func() bool {
		_, err := m.nc.Request(subjects.Query("status"), nil, time.Minute) // the last to be there
		return !errors.Is(err, nats.ErrNoResponders)
	}, "the service answers")
}

// fold folds events as the next messages of the stream.
func (m *memory) fold(events ...roster.Event) { m.foldAfter(0, 0, events...) }

// foldAfter folds events after a loss of so many messages.
func (m *memory) foldAfter(lost uint64, why roster.Loss, events ...roster.Event) {
	b := roster.Batch{End: m.roster.Status().Position, Missing: why}
	b.End.Place += lost
	for i := range events {
		b.End.Place++
		b.Messages = append(b.Messages, roster.Message{Place: b.End.Place, Receipt: events[i].Date.Add(time.Second), Event: events[i]})
	}
	m.roster.Fold(&b)
	m.history.Put(&b)
}

// hour returns a time this number of hours after the first event of a test.
func hour(n int) time.Time {
	return time.Date(2020, 1, 21, n, 0, 0, 0, time.UTC)
}

func momentAt(n int) api.Moment { return api.Moment{At: hour(n).Format(time.RFC3339)} }

func dated(n int, e roster.Event) roster.Event {
	e.Date = roster.TimeOf(hour(n))
	return e
}

// wantCode asks a question that must be refused.
func (m *memory) wantCode(t *testing.T, endpoint string, request any, code int, description string) {
	t.Helper()
	_, err := client.One(t.Context(), m.nc, subjects.Query(endpoint), request)
	if refusal, ok := errors.AsType[*client.Refusal](err); !ok || refusal.Code != code || !strings.Contains(err.Error(), description) {
		t.Errorf("%s %+v: got %v, want %d and %q", endpoint, request, err, code, description)
	}
}

// one asks a question that has one page.
func one[A any, P api.Answer[A]](t *testing.T, m *memory, endpoint string, request any) A {
	t.Helper()
	pages := pagesOf[A, P](t, m.nc, endpoint, request)
	if len(pages) != 1 {
		t.Fatalf("%d pages", len(pages))
	}
	return pages[0]
}

// machinesOf returns the lines of a report of a past moment.
func machinesOf(pages []api.PastReport) []string {
	var lines []string
	for _, page := range pages {
		for _, on := range page.Machines {
			lines = append(lines, on.Name+": "+strings.Join(on.Users, " "))
		}
	}
	return lines
}

// TestPastInPages: each page of an answer about the past continues where the
// previous one ended, and together they are the whole.
func TestPastInPages(t *testing.T) {
	const machines, users = 12, 40
	var events []roster.Event
	name := func(i int) string { return fmt.Sprintf("m%02d%s", i, strings.Repeat("x", 50)) }
	for i := range machines {
		for u := range users {
			user := fmt.Sprintf("user-%02d", u)
			for _, id := range []string{"", user} {
				events = append(events, dated(1, detailed(name(i), user, id)))
			}
		}
		events = append(events, dated(3, roster.Event{Type: roster.Shutdown, Machine: name(i)}))
	}
	m := remember(t, events, func(o *server.Options) { o.MaxPayload = 4 << 10 })

	for what, request := range map[string]api.ReportRequest{
		"glob":  {Moment: momentAt(2), Filter: api.Filter{Machines: "m0*"}},
		"names": {Moment: momentAt(2), Filter: api.Filter{Names: []string{name(7), name(3), "none", name(3)}}},
		"both":  {Moment: momentAt(2), Filter: api.Filter{Names: []string{name(11), name(2)}, Machines: "m0*"}},
	} {
		pages := pagesOf[api.PastReport](t, m.nc, "report", request)
		var got, want []string
		for _, page := range pages {
			for _, on := range page.Machines {
				for _, user := range on.Users {
					got = append(got, on.Name+" "+user)
				}
			}
		}
		for _, i := range map[string][]int{"glob": {0, 1, 2, 3, 4, 5, 6, 7, 8, 9}, "names": {3, 7}, "both": {2}}[what] {
			for u := range users {
				want = append(want, fmt.Sprintf("%s user-%02d", name(i), u))
			}
		}
		if !reflect.DeepEqual(got, want) || len(pages) < 2 && what == "glob" {
			t.Errorf("%s: %d pages: %q", what, len(pages), got)
		}
	}
	if pages := pagesOf[api.PastReport](t, m.nc, "report", api.ReportRequest{Moment: momentAt(2), Limit: new(uint32(1))}); len(pages[0].Machines) != 1 {
		t.Errorf("%d machines on a page of 1", len(pages[0].Machines))
	}
	sessions := 0
	on := pagesOf[api.MachineAnswer](t, m.nc, "machine", api.MachineRequest{Machine: name(3), Moment: momentAt(2)})
	for _, page := range on {
		sessions += len(page.Sessions)
		if !page.Past.At.Equal(hour(2)) || page.Place != uint64(len(events)) || page.Sequence != page.Place || !page.Complete {
			t.Errorf("%+v, %+v", page.Head, page.Past)
		}
	}
	if sessions != 2*users || len(on) < 2 {
		t.Errorf("%d sessions on %d pages", sessions, len(on))
	}
	stays := 0
	for _, page := range pagesOf[api.UserAnswer](t, m.nc, "user", api.UserRequest{User: "user-07", Moment: momentAt(2)}) {
		stays += len(page.Sessions)
	}
	if stays != 2*machines {
		t.Errorf("%d stays", stays)
	}
	for _, order := range []string{api.Newest, api.Oldest} {
		seen := map[string]bool{}
		pages := pagesOf[api.HistoryAnswer](t, m.nc, "history", api.HistoryRequest{Order: order})
		for _, page := range pages {
			for _, s := range page.Sessions {
				seen[s.Machine+s.User+" "+s.ID] = true
			}
		}
		if len(seen) != machines*users*2 || len(pages) < 10 {
			t.Errorf("%s: %d stays on %d pages", order, len(seen), len(pages))
		}
	}
}

// TestPastOfManyWithNobody: machines with nobody on come in pages, too.
func TestPastOfManyWithNobody(t *testing.T) {
	var events []roster.Event
	var want []string
	for i := range 100 {
		name := fmt.Sprintf("m%02d%s", i, strings.Repeat("x", 50))
		events = append(events, dated(1, roster.Event{Type: roster.Boot, Machine: name}))
		want = append(want, name+": ")
	}
	m := remember(t, events, func(o *server.Options) { o.MaxPayload = 4 << 10 })
	pages := pagesOf[api.PastReport](t, m.nc, "report", api.ReportRequest{Moment: momentAt(2)})
	if got := machinesOf(pages); !slices.Equal(got, want) || len(pages) < 3 {
		t.Errorf("%d pages: %q", len(pages), got)
	}
}

func TestHistory(t *testing.T) {
	ssh := kit.Login("db1", "lane")
	ssh.Session.Remote, ssh.Session.Service = "10.0.0.7", "sshd"
	m := remember(t, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, ssh), dated(4, kit.Logout("web1", "lane")),
		dated(3, kit.Login("web1", "chris")), dated(5, roster.Event{Type: roster.Boot, Machine: "db1"}),
	})
	const web, db, chris = "lane web1 1-4 logout", "lane db1 2-5 boot", "chris web1 3- open"
	for _, test := range []struct {
		request api.HistoryRequest
		want    []string
	}{
		{api.HistoryRequest{}, []string{chris, db, web}},
		{api.HistoryRequest{Order: api.Newest}, []string{chris, db, web}},
		{api.HistoryRequest{Order: api.Oldest}, []string{web, db, chris}},
		{api.HistoryRequest{Machine: "web1"}, []string{chris, web}},
		{api.HistoryRequest{Names: []string{"web1", "db1", "none"}}, []string{chris, db, web}},
		{api.HistoryRequest{Names: []string{"none"}}, nil},
		{api.HistoryRequest{Machine: "web1", Names: []string{"db1"}}, nil},
		{api.HistoryRequest{Machines: "?b*"}, []string{db}},
		{api.HistoryRequest{Names: []string{"web1", "db1"}, Machines: "web*"}, []string{chris, web}},
		{api.HistoryRequest{User: "lane"}, []string{db, web}},
		{api.HistoryRequest{User: "lane", Machine: "db1"}, []string{db}},
		{api.HistoryRequest{Remote: "10.0.0.7"}, []string{db}},
		{api.HistoryRequest{Service: "sshd"}, []string{db}},
		{api.HistoryRequest{Service: "ssh"}, nil},
		{api.HistoryRequest{To: momentAt(2).At}, []string{db, web}},
		{api.HistoryRequest{From: momentAt(4).At}, []string{chris, db}},
		{api.HistoryRequest{From: momentAt(4).At, To: momentAt(4).At, Machine: "web1"}, []string{chris}},
	} {
		var got []string
		for _, s := range one[api.HistoryAnswer](t, m, "history", test.request).Sessions {
			ended := ""
			if !s.Ended.IsZero() {
				ended = fmt.Sprint(s.Ended.Hour())
			}
			got = append(got, fmt.Sprintf("%s %s %d-%s %s", s.User, s.Machine, s.Since.Hour(), ended, s.How))
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.request, got, test.want)
		}
	}
	for field, request := range map[string]api.HistoryRequest{
		"machine":           {Machine: long(256)},
		"machines":          {Machines: long(256)},
		"names":             {Names: []string{"a", long(256)}},
		"names: 301":        {Names: make([]string, 301)},
		"user":              {User: long(256)},
		"remote":            {Remote: long(256)},
		"service":           {Service: long(256)},
		"from: want a time": {From: "yesterday"},
		"to: want a time":   {To: "2020-01-21"},
		"from: 2020-01-21T02:00:00Z is after to, 2020-01-21T01:00:00Z": {From: momentAt(2).At, To: momentAt(1).At},
		"order":  {Order: "up"},
		"limit":  {Limit: new(uint32(0))},
		"cursor": {Cursor: "YQ"},
	} {
		m.wantCode(t, "history", request, rollcallv1.CodeBadRequest, field)
	}
	m.wantCode(t, "history", api.HistoryRequest{Machine: "web9"}, rollcallv1.CodeNotFound, `machine: "web9"`)
	m.wantCode(t, "history", api.HistoryRequest{User: "nobody"}, rollcallv1.CodeNotFound, `user: "nobody"`)
}

// TestHistoryLimit: a limit holds for each answer, and the cursor goes on behind it.
func TestHistoryLimit(t *testing.T) {
	var events []roster.Event
	for i := range 200 {
		events = append(events, dated(1, kit.Login("web1", fmt.Sprintf("user-%03d", i))))
	}
	m := remember(t, events)
	for _, limit := range []int{1, 7, 64, 65, 199, 200, 1000} {
		sessions := 0
		pages := pagesOf[api.HistoryAnswer](t, m.nc, "history", api.HistoryRequest{Limit: new(uint32(limit))})
		for i, page := range pages {
			sessions += len(page.Sessions)
			if n := len(page.Sessions); n > limit || n < limit && i < len(pages)-1 {
				t.Errorf("limit %d: %d sessions on page %d of %d", limit, n, i, len(pages))
			}
		}
		if sessions != len(events) {
			t.Errorf("limit %d: %d sessions", limit, sessions)
		}
	}
}

// TestUnknownBeginning: a logout of a session that began before the history is a stay
// with an unknown beginning.
func TestUnknownBeginning(t *testing.T) {
	e := roster.Event{Type: roster.Logout, Machine: "web1", Session: roster.Session{ID: "c7"}}
	m := remember(t, []roster.Event{dated(1, e)})
	want := []api.PastStay{{Machine: "web1", ID: "c7", SinceUnknown: true, Ended: hour(1), How: "logout"}}
	if got := one[api.HistoryAnswer](t, m, "history", api.HistoryRequest{}).Sessions; !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

// TestPastOfNobody: a machine with nobody on is listed, and one that was unknown at
// the time is not.
func TestPastOfNobody(t *testing.T) {
	m := remember(t, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Logout("web1", "lane")), dated(3, kit.Login("web1", "lane")),
	})
	for at, want := range map[int][]string{0: nil, 1: {"web1: lane"}, 2: {"web1: "}, 3: {"web1: lane"}} {
		for _, names := range [][]string{nil, {"web1"}} {
			request := api.ReportRequest{Moment: momentAt(at), Filter: api.Filter{Names: names}}
			if got := machinesOf(pagesOf[api.PastReport](t, m.nc, "report", request)); !slices.Equal(got, want) {
				t.Errorf("at %d: %q, want %q", at, got, want)
			}
		}
	}
	a := one[api.MachineAnswer](t, m, "machine", api.MachineRequest{Machine: "web1", Moment: momentAt(2)})
	if len(a.Sessions) != 0 || !a.Heard.IsZero() {
		t.Errorf("%+v", a)
	}
}

func TestPastRefused(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane"))})
	for _, at := range []string{"now", "2020-01-21", "2020-01-21 09:00:00", "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "2600-01-01T00:00:00Z", "1970-01-01T00:00:00+01:00"} {
		for endpoint, request := range map[string]any{
			"report":  api.ReportRequest{Moment: api.Moment{At: at}},
			"machine": api.MachineRequest{Machine: "web1", Moment: api.Moment{At: at}},
			"user":    api.UserRequest{User: "lane", Moment: api.Moment{At: at}},
		} {
			m.wantCode(t, endpoint, request, rollcallv1.CodeBadRequest, "at: want a time")
		}
	}
	several := api.ReportRequest{Moment: momentAt(1), Filter: api.Filter{OnSeveral: true}}
	m.wantCode(t, "report", several, rollcallv1.CodeBadRequest, "at: not together with")
	m.wantCode(t, "machine", api.MachineRequest{Machine: "web9", Moment: momentAt(1)}, rollcallv1.CodeNotFound, `machine: "web9"`)
	m.wantCode(t, "user", api.UserRequest{User: "nobody", Moment: momentAt(1)}, rollcallv1.CodeNotFound, `user: "nobody"`)
	now := serve(t, source(kit.Seed()))
	(&memory{nc: now}).wantCode(t, "report", api.ReportRequest{Moment: momentAt(1)}, rollcallv1.CodeUnavailable, "ROLLCALL_HISTORY is 0")
}

// TestPastCursors: a cursor can be used again, by any process, and only for its own
// question.
func TestPastCursors(t *testing.T) {
	var events []roster.Event
	for i := range 5 {
		events = append(events, dated(1, kit.Login(fmt.Sprintf("web%d", i), "lane")))
	}
	m := remember(t, events)
	request := api.ReportRequest{Moment: momentAt(2), Limit: new(uint32(2))}
	pages := pagesOf[api.PastReport](t, m.nc, "report", request)
	m.answer(t) // another process
	request.Cursor, request.Limit = pages[0].Cursor, new(uint32(3))
	for range 2 {
		data, err := client.One(t.Context(), m.nc, subjects.Query("report"), request)
		if err != nil {
			t.Fatal(err)
		}
		page, err := api.Decode[api.PastReport](data)
		if got := machinesOf([]api.PastReport{page}); err != nil || !slices.Equal(got, []string{"web2: lane", "web3: lane", "web4: lane"}) {
			t.Errorf("%v, %v", got, err)
		}
	}
	for endpoint, other := range map[string]any{
		"report":  api.ReportRequest{Moment: momentAt(3), Cursor: request.Cursor},
		"machine": api.MachineRequest{Machine: "web1", Moment: momentAt(2), Cursor: request.Cursor},
		"history": api.HistoryRequest{Cursor: request.Cursor},
	} {
		m.wantCode(t, endpoint, other, rollcallv1.CodeBadRequest, "cursor: belongs to another question")
	}
	good, err := base64.RawURLEncoding.DecodeString(request.Cursor)
	if err != nil {
		t.Fatal(err)
	}
	own := good[:len(digest{})]
	for _, bad := range [][]byte{
		nil, own[:7], own, append(own[:8:8], 2), append(own[:8:8], 1, 'a'), append(own[:8:8], 0xff), append(own[:8:8], 2, 0xff),
		append(own[:8:8], []byte("\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01a")...),
	} {
		request.Cursor = base64.RawURLEncoding.EncodeToString(bad)
		if bad == nil {
			request.Cursor = "x"
		}
		m.wantCode(t, "report", request, rollcallv1.CodeBadRequest, "cursor: not a cursor")
	}
}

// TestFuture: a moment that lies ahead is answered as now, on all pages.
func TestFuture(t *testing.T) {
	m := remember(t, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(1, kit.Login("web2", "lane")), dated(2, kit.Logout("web2", "lane")), dated(3, kit.Login("web2", "chris")),
	})
	now := time.Now()
	ahead := api.Moment{At: now.Add(time.Hour).Format(time.RFC3339)}
	pages := pagesOf[api.PastReport](t, m.nc, "report", api.ReportRequest{Moment: ahead, Limit: new(uint32(1))})
	if got := machinesOf(pages); !slices.Equal(got, []string{"web1: lane", "web2: chris"}) {
		t.Errorf("got %q", got)
	}
	for _, page := range pages {
		if p := page.Past; !p.Future || p.At.Before(now) || p.At.After(time.Now()) || !p.At.Equal(pages[0].Past.At) || !page.Complete {
			t.Errorf("%+v, %+v", page.Head, p)
		}
	}
	if on := one[api.MachineAnswer](t, m, "machine", api.MachineRequest{Machine: "web1", Moment: ahead}); !on.Past.Future || len(on.Sessions) != 1 {
		t.Errorf("%+v", on)
	}
	if on := one[api.MachineAnswer](t, m, "machine", api.MachineRequest{Machine: "web1", Moment: momentAt(2)}); on.Past.Future {
		t.Errorf("%+v", on.Past)
	}
}

// TestGaps: after a loss answers say for which machines they lack sessions, and since
// when, until a present tells who is on.
func TestGaps(t *testing.T) {
	m := remember(t, []roster.Event{dated(100, kit.Login("web1", "lane")), dated(200, kit.Login("db1", "lane"))})
	m.foldAfter(3, roster.Deleted, dated(1000, kit.Login("web1", "chris")))
	lateness := m.roster.Settings().AllowedLateness
	gap := func(machine string, from, until int) api.Gap {
		g := api.Gap{Machine: machine, From: hour(from).Add(-lateness), Reason: "deleted"}
		if until > 0 {
			g.Until = hour(until)
		}
		return g
	}
	type lack struct {
		machines int
		gaps     []api.Gap
		reasons  []string
	}
	deleted := []string{"deleted"}
	check := func(what string, head api.Head, past *api.Past, want lack) {
		t.Helper()
		if got := (lack{past.MachinesIncomplete, past.Gaps, head.Reasons}); !reflect.DeepEqual(got, want) || head.Complete != (len(want.reasons) == 0) {
			t.Errorf("%s: got %+v, want %+v", what, got, want)
		}
	}
	web, db := gap("web1", 100, 0), gap("db1", 200, 0)
	machine := func(name string, at int) (api.Head, *api.Past) {
		a := one[api.MachineAnswer](t, m, "machine", api.MachineRequest{Machine: name, Moment: momentAt(at)})
		return a.Head, a.Past
	}
	fleet := func(at int, f api.Filter) (api.Head, *api.Past) {
		a := one[api.PastReport](t, m, "report", api.ReportRequest{Moment: momentAt(at), Filter: f})
		return a.Head, a.Past
	}
	head, past := machine("web1", 150)
	check("machine", head, past, lack{1, []api.Gap{web}, deleted})
	head, past = machine("web1", -700)
	check("machine before", head, past, lack{reasons: []string{}})
	head, past = fleet(150, api.Filter{})
	check("fleet", head, past, lack{2, []api.Gap{db, web}, deleted})
	head, past = fleet(150, api.Filter{Machines: "d*"})
	check("glob", head, past, lack{1, []api.Gap{db}, deleted})
	head, past = fleet(150, api.Filter{Names: []string{"web1", "none"}})
	check("names", head, past, lack{1, []api.Gap{web}, deleted})
	head, past = fleet(-700, api.Filter{})
	check("a fleet with machines unheard of", head, past, lack{reasons: deleted})
	user := one[api.UserAnswer](t, m, "user", api.UserRequest{User: "lane", Moment: momentAt(150)})
	check("user", user.Head, user.Past, lack{2, []api.Gap{db, web}, deleted})
	list := one[api.HistoryAnswer](t, m, "history", api.HistoryRequest{Machine: "db1", From: momentAt(300).At})
	check("history", list.Head, list.Past, lack{1, []api.Gap{db}, deleted})

	// Later everything is settled, and nobody unheard of can still be on.
	m.fold(dated(1010, roster.Event{Type: roster.Present, Machine: "web1"}), dated(2000, kit.Login("web1", "lane")))
	head, past = machine("web1", 150)
	check("then", head, past, lack{1, []api.Gap{gap("web1", 100, 1010)}, deleted})
	head, past = machine("web1", 1010)
	check("now", head, past, lack{reasons: []string{}})
	head, past = fleet(-700, api.Filter{})
	check("the fleet then", head, past, lack{reasons: []string{}})
}

// TestKeptFrom: a question that reaches back before the history says so.
func TestKeptFrom(t *testing.T) {
	m := remember(t, nil)
	m.foldAfter(5, roster.BaselineLost, dated(10, kit.Login("web1", "lane")))
	begins := hour(10).Add(time.Second)
	for at, kept := range map[int]time.Time{5: begins, 11: {}} {
		a := one[api.UserAnswer](t, m, "user", api.UserRequest{User: "lane", Moment: momentAt(at)})
		if got := a.Past.KeptFrom; !got.Equal(kept) || slices.Contains(a.Reasons, "not_retained") == kept.IsZero() {
			t.Errorf("at %d: %+v, %+v", at, a.Head, a.Past)
		}
	}
}

// TestBehind: an answer from a history that lacks what was folded says so, and calls nobody
// unknown for that.
func TestBehind(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane"))})
	m.freeze()
	m.fold(dated(2, kit.Login("web1", "chris")))
	a := one[api.MachineAnswer](t, m, "machine", api.MachineRequest{Machine: "web1", Moment: momentAt(3)})
	if len(a.Sessions) != 1 || a.Place != 1 || a.Complete || !slices.Equal(a.Reasons, []string{"behind"}) {
		t.Errorf("%+v", a)
	}
	// It does not know the second user yet.
	h := one[api.HistoryAnswer](t, m, "history", api.HistoryRequest{User: "chris"})
	if len(h.Sessions) != 0 || h.Complete || !slices.Equal(h.Reasons, []string{"behind"}) {
		t.Errorf("%+v", h)
	}
}

// hold keeps all connections of the history in use until the test releases them.
func (m *memory) hold(t *testing.T) (release func()) {
	held, done := make(chan struct{}), make(chan struct{})
	ended := make(chan error)
	const connections = 2 * workerCount
	for range connections {
		go func() {
			ended <- m.history.View(context.Background(), func(*history.View) error {
				held <- struct{}{}
				<-done
				return nil
			})
		}()
	}
	for range connections {
		<-held
	}
	return func() {
		close(done)
		for range connections {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

// TestPastStarvesNobody: questions about the past that wait hold up no question about
// now, nor does a history that can't be read, and a busy one is told.
func TestPastStarvesNobody(t *testing.T) {
	m := remember(t, []roster.Event{dated(1, kit.Login("web1", "lane"))})
	release := m.hold(t)
	inbox := m.nc.NewInbox()
	answers, err := m.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	const past = 2 * workerCount
	for i := range past + 1 {
		request := fmt.Sprintf(`{"user":"lane","at":%q}`, momentAt(2).At)
		if i == past {
			request = `{"user":"lane"}`
		}
		if err := m.nc.PublishRequest(subjects.Query("user"), inbox, []byte(request)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range past + 1 {
		answer, err := answers.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		now, busy := strings.Contains(string(answer.Data), `"since_exact":false`), answer.Header.Get(micro.ErrorCodeHeader) == "429"
		if now != (i == 0) || busy != (i > 0) {
			t.Errorf("answer %d: %v %s", i, answer.Header, answer.Data)
		}
	}
	release()
}

func TestPastBusy(t *testing.T) {
	s := New(Config{Log: kit.Logger(t)})
	for err, code := range map[error]int{
		fmt.Errorf("reading: %w", history.ErrBusy): rollcallv1.CodeBusy,
		context.DeadlineExceeded:                   rollcallv1.CodeBusy,
		context.Canceled:                           rollcallv1.CodeUnavailable,
		errors.New("disk I/O error\nselect"):       rollcallv1.CodeUnavailable,
		&refusal{rollcallv1.CodeNotFound, "no"}:    rollcallv1.CodeNotFound,
	} {
		refused, ok := errors.AsType[*refusal](s.refusalOf(err))
		if !ok || refused.code != code || strings.Contains(refused.description, "\n") {
			t.Errorf("%v: %+v", err, refused)
		}
	}
}
