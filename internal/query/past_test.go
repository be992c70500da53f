package query

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nats.go/micro"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/past"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// memory answers questions about a stream of events.
type memory struct {
	nc     *nats.Conn
	behind atomic.Bool // reading the past waits
}

// remember stores the events in a stream, reads them into a roster, and answers for
// both until the test ends, with a limit on questions about the past in flight.
func remember(t *testing.T, most int, events []roster.Event, options ...func(*server.Options)) *memory {
	t.Helper()
	url := kit.StartServer(t, options...).URL
	nc := kit.Conn(t, url)
	js := kit.JetStream(t, nc)
	stream, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "E", Subjects: subjects.AllEvents()})
	if err != nil {
		t.Fatal(err)
	}
	r := roster.New(roster.DefaultSettings())
	b := roster.Batch{End: roster.Position{
		Place: uint64(len(events)),
		Proof: roster.Proof{Stream: "E", Created: roster.TimeOf(stream.CachedInfo().Created)},
	}}
	for i := range events {
		if _, err := js.Publish(t.Context(), subjects.EventsOf(events[i].Machine), wire.AppendJSON(nil, &events[i])); err != nil {
			t.Fatal(err)
		}
		b.Messages = append(b.Messages, roster.Message{Place: uint64(i + 1), Receipt: roster.TimeOf(time.Now()), Event: events[i]})
	}
	r.Fold(&b)
	m := &memory{nc: kit.Conn(t, url)}
	questions, err := past.New(past.Config{
		Roster: r, Conn: nc, Stream: "E", Subjects: subjects, Behind: m.behind.Load, MaxQuestions: most,
		Log: kit.Logger(t), Registry: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(questions.Close)
	runService(t, New(Config{
		Source: report.Source{Roster: r, Stream: "E", CaughtUp: func() bool { return true }},
		Conn:   nc, Subjects: subjects, Log: kit.Logger(t), Past: questions,
	}))
	kit.Eventually(t, func() bool {
		_, err := m.nc.Request(subjects.Query("status"), nil, time.Minute) // the last to be there
		return !errors.Is(err, nats.ErrNoResponders)
	}, "the service answers")
	return m
}

// hour returns a time this number of hours after the first event of a test.
func hour(n int) time.Time {
	return time.Date(2020, 1, 21, n, 0, 0, 0, time.UTC)
}

func moment(n int) api.Moment { return api.Moment{At: hour(n).Format(time.RFC3339)} }

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

// TestTooFewConsumers: a limit of consumers does not say to ask again later, as that
// would not help.
func TestTooFewConsumers(t *testing.T) {
	err := fmt.Errorf("creating a consumer: %w", &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeMaximumConsumersLimit})
	if said := refusalOf(err).Error(); !strings.Contains(said, "too few consumers (max_consumers): raise the limit") || strings.Contains(said, "later") {
		t.Errorf("got %s", said)
	}
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
			for _, id := range []string{"", user} { // a user's sessions stay together
				events = append(events, dated(1, detailed(name(i), user, id)))
			}
		}
		events = append(events, dated(3, roster.Event{Type: roster.Shutdown, Machine: name(i)}))
	}
	m := remember(t, 4, events, func(o *server.Options) { o.MaxPayload = 4 << 10 })

	var got []string
	reports := pagesOf[api.PastReport](t, m.nc, "report", api.ReportRequest{Moment: moment(2), Filter: api.Filter{Machines: "m0*"}})
	for _, page := range reports {
		for _, on := range page.Machines {
			for _, user := range on.Users {
				got = append(got, on.Name+" "+user)
			}
		}
	}
	var want []string
	for i := range 10 {
		for u := range users {
			want = append(want, fmt.Sprintf("%s user-%02d", name(i), u))
		}
	}
	if !reflect.DeepEqual(got, want) || len(reports) < 3 {
		t.Errorf("%d pages of the report: %q", len(reports), got)
	}
	if pages := pagesOf[api.PastReport](t, m.nc, "report", api.ReportRequest{Moment: moment(2), Limit: new(uint32(2))}); len(pages[0].Machines) != 2 {
		t.Errorf("%d machines on a page of 2", len(pages[0].Machines))
	}
	sessions := 0
	on := pagesOf[api.MachineAnswer](t, m.nc, "machine", api.MachineRequest{Machine: name(3), Moment: moment(2)})
	for _, page := range on {
		sessions += len(page.Sessions)
		if p := page.Past; !p.Done || !p.At.Equal(hour(2)) || page.Place != uint64(len(events)) || page.Sequence != page.Place || !page.Complete {
			t.Errorf("%+v, %+v", page.Head, p)
		}
	}
	if sessions != 2*users || len(on) < 2 {
		t.Errorf("%d sessions on %d pages", sessions, len(on))
	}
	stays := 0
	for _, page := range pagesOf[api.UserAnswer](t, m.nc, "user", api.UserRequest{User: "user-07", Moment: moment(2)}) {
		stays += len(page.Sessions)
	}
	if stays != 2*machines {
		t.Errorf("%d stays", stays)
	}
}

func TestHistory(t *testing.T) {
	m := remember(t, 4, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Login("db1", "lane")), dated(4, kit.Logout("web1", "lane")),
		dated(3, kit.Login("web1", "chris")), dated(5, roster.Event{Type: roster.Boot, Machine: "db1"}),
	})
	for _, test := range []struct {
		request api.HistoryRequest
		want    string
	}{
		{api.HistoryRequest{}, "lane web1 1-4 logout, lane db1 2-5 boot, chris web1 3- open"},
		{api.HistoryRequest{Machine: "web1"}, "lane web1 1-4 logout, chris web1 3- open"},
		{api.HistoryRequest{User: "lane"}, "lane web1 1-4 logout, lane db1 2-5 boot"},
		{api.HistoryRequest{User: "lane", Machine: "db1"}, "lane db1 2-5 boot"},
		{api.HistoryRequest{User: "nobody"}, ""},
		{api.HistoryRequest{To: moment(2).At}, "lane web1 1-4 logout, lane db1 2-5 boot"},
		{api.HistoryRequest{From: moment(4).At}, "lane db1 2-5 boot, chris web1 3- open"},
		{api.HistoryRequest{From: moment(4).At, To: moment(4).At, Machine: "web1"}, "chris web1 3- open"},
	} {
		var got []string
		for _, page := range pagesOf[api.HistoryAnswer](t, m.nc, "history", test.request) {
			for _, s := range page.Sessions {
				ended := ""
				if !s.Ended.IsZero() {
					ended = fmt.Sprint(s.Ended.Hour())
				}
				got = append(got, fmt.Sprintf("%s %s %d-%s %s", s.User, s.Machine, s.Since.Hour(), ended, s.How))
			}
		}
		if strings.Join(got, ", ") != test.want {
			t.Errorf("%+v: %q, want %q", test.request, got, test.want)
		}
	}
	for field, request := range map[string]api.HistoryRequest{
		"machine":                    {Machine: long(256)},
		"user":                       {User: long(256)},
		"from: want a time":          {From: "yesterday"},
		"to: want a time":            {To: "2020-01-21"},
		"from: 2020-01-21T02:00:00Z": {From: moment(2).At, To: moment(1).At},
		"cursor":                     {Cursor: "YQ"},
	} {
		m.wantCode(t, "history", request, rollcallv1.CodeBadRequest, field)
	}
	m.wantCode(t, "history", api.HistoryRequest{Machine: "web9"}, rollcallv1.CodeNotFound, `machine: "web9"`)
}

// TestPastOfNobody: a machine with nobody on is listed, and one that was unknown at
// the time is not.
func TestPastOfNobody(t *testing.T) {
	m := remember(t, 4, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Logout("web1", "lane")), dated(3, kit.Login("web1", "lane")),
	})
	for at, want := range map[int]string{0: "[]", 1: "[{web1 [lane]}]", 2: "[{web1 []}]", 3: "[{web1 [lane]}]"} {
		type row struct {
			name  string
			users []string
		}
		rows := []row{}
		for _, page := range pagesOf[api.PastReport](t, m.nc, "report", api.ReportRequest{Moment: moment(at)}) {
			for _, on := range page.Machines {
				rows = append(rows, row{on.Name, on.Users})
			}
		}
		if got := fmt.Sprint(rows); got != want {
			t.Errorf("at %d: %s, want %s", at, got, want)
		}
	}
	a := pagesOf[api.MachineAnswer](t, m.nc, "machine", api.MachineRequest{Machine: "web1", Moment: moment(2)})
	if len(a) != 1 || len(a[0].Sessions) != 0 || a[0].Heard.IsZero() {
		t.Errorf("%+v", a)
	}
}

func TestPastRefused(t *testing.T) {
	m := remember(t, 4, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Logout("web1", "lane")), dated(3, kit.Login("web1", "lane")),
	})
	for _, at := range []string{"now", "2020-01-21", "2020-01-21 09:00:00", "1969-12-31T23:59:59Z", "2262-01-01T00:00:00Z", "2600-01-01T00:00:00Z", "1970-01-01T00:00:00+01:00"} {
		for endpoint, request := range map[string]any{
			"report":  api.ReportRequest{Moment: api.Moment{At: at}},
			"machine": api.MachineRequest{Machine: "web1", Moment: api.Moment{At: at}},
			"user":    api.UserRequest{User: "lane", Moment: api.Moment{At: at}},
		} {
			m.wantCode(t, endpoint, request, rollcallv1.CodeBadRequest, "at: want a time")
		}
	}
	several := api.ReportRequest{Moment: moment(1), Filter: api.Filter{OnSeveral: true}}
	m.wantCode(t, "report", several, rollcallv1.CodeBadRequest, "at: not together with")
	m.wantCode(t, "machine", api.MachineRequest{Machine: "web9", Moment: moment(1)}, rollcallv1.CodeNotFound, `machine: "web9"`)
	m.wantCode(t, "machine", api.MachineRequest{Machine: "web1", Moment: moment(1), Cursor: "x"}, rollcallv1.CodeBadRequest, "cursor: ")
	m.wantCode(t, "machine", api.MachineRequest{Machine: "web1", Moment: moment(1), Cursor: "x.0"}, rollcallv1.CodeNotFound, "cursor: ")
	now := serve(t, source(kit.Seed()))
	(&memory{nc: now}).wantCode(t, "report", api.ReportRequest{Moment: moment(1)}, rollcallv1.CodeUnavailable, "this rollcall does not answer questions about the past")
}

// TestPastYields: while ingest is behind, the past is not read: answers about it
// only report progress, questions beyond the limit are refused, and others are
// answered as usual.
func TestPastYields(t *testing.T) {
	m := remember(t, 1, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Logout("web1", "lane")), dated(3, kit.Login("web1", "lane")),
	})
	m.behind.Store(true)
	request := api.ReportRequest{Moment: moment(2)}
	first := make(chan []byte, 1)
	go func() {
		data, _ := client.One(t.Context(), m.nc, subjects.Query("report"), request)
		first <- data
	}()
	kit.Eventually(t, func() bool {
		_, err := m.nc.Request(subjects.Query("report"), nil, time.Second)
		return err == nil && len(first) == 0
	}, "a question about now is answered")
	page, err := api.Decode[api.PastReport](<-first)
	if err != nil || page.Past.Done || page.Cursor == "" || page.Place != 0 || len(page.Machines) != 0 || page.Past.Last != 3 {
		t.Fatalf("%+v, %+v, %v", page, page.Past, err)
	}
	m.wantCode(t, "user", api.UserRequest{User: "lane", Moment: moment(2)}, rollcallv1.CodeBusy, "busy: ")
	of := api.MachineRequest{Machine: "web1", Moment: moment(2), Cursor: page.Cursor}
	m.wantCode(t, "machine", of, rollcallv1.CodeBadRequest, "cursor: belongs to another question")
	m.behind.Store(false)
	request.Cursor = page.Cursor
	data, err := client.One(t.Context(), m.nc, subjects.Query("report"), request)
	if err != nil {
		t.Fatal(err)
	}
	if page, err = api.Decode[api.PastReport](data); err != nil || !page.Past.Done || page.Cursor != "" || len(page.Machines) != 1 {
		t.Errorf("%s, %v", data, err)
	}
}

// TestPastStarvesNobody: while the most questions about the past are in flight, one
// more is refused, and one about now is answered before any of them.
func TestPastStarvesNobody(t *testing.T) {
	const most = 4
	m := remember(t, most, []roster.Event{
		dated(1, kit.Login("web1", "lane")), dated(2, kit.Logout("web1", "lane")), dated(3, kit.Login("web1", "lane")),
	})
	m.behind.Store(true)
	inbox := m.nc.NewInbox()
	answers, err := m.nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for i := range most + 2 {
		request := fmt.Sprintf(`{"at":%q}`, moment(2).At)
		if i == most+1 {
			request = ""
		}
		if err := m.nc.PublishRequest(subjects.Query("report"), inbox, []byte(request)); err != nil {
			t.Fatal(err)
		}
	}
	var refused, answered bool
	for range 2 {
		answer, err := answers.NextMsg(time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		switch code := answer.Header.Get(micro.ErrorCodeHeader); {
		case code == fmt.Sprint(rollcallv1.CodeBusy):
			refused = true
		case code == "" && !strings.Contains(string(answer.Data), `"past"`):
			answered = true
		default:
			t.Errorf("first came %v %s", answer.Header, answer.Data)
		}
	}
	if !refused || !answered {
		t.Errorf("one too many refused: %t; one about now answered: %t", refused, answered)
	}
}
