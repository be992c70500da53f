package web_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/internal/api"
	"rollcall/internal/changes"
	"rollcall/internal/client"
	"rollcall/internal/history"
	"rollcall/internal/query"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/web"
	"rollcall/internal/web/access"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, goleak.Cleanup(removeBinary)) }

// start is what the clock of a world shows at first: a Sunday.
var start = time.Date(2026, 11, 22, 21, 14, 7, 0, time.UTC)

// world is a roster with its history, and the service that answers from both and publishes
// changes, over a real NATS server. They have a clock of their own.
type world struct {
	t        testing.TB
	server   *kit.Server
	subjects rollcallv1.Subjects
	roster   *roster.Roster
	history  *history.History
	clock    atomic.Int64
	stop     func() // ends the service
	// replaying and stale are what the service says of itself.
	replaying, stale atomic.Bool
}

// worlds counts the worlds, as several share a server.
var worlds atomic.Int64

// newWorld starts a world on a server.
func newWorld(t testing.TB, server *kit.Server) *world {
	t.Helper()
	subjects, err := rollcallv1.NewSubjects(fmt.Sprint("rollcall", worlds.Add(1)))
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, server: server, subjects: subjects, roster: roster.New(roster.DefaultSettings())}
	w.clock.Store(start.UnixNano())
	w.history = history.Open(history.Config{
		Dir: t.TempDir(), Roster: w.roster, Keep: time.Duration(roster.MaxDate), MaxBytes: 1 << 30,
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
		w.history.Run(ctx)
	}()
	t.Cleanup(func() {
		end()
		<-ended
		w.history.Close()
	})
	w.serve()
	return w
}

// serve answers questions, and publishes changes, until the test or the service ends.
func (w *world) serve() {
	w.t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	conn := kit.Conn(w.t, w.server.URL)
	caughtUp := func() bool { return !w.replaying.Load() }
	source := report.Source{Roster: w.roster, Stream: "ROLLCALL_EVENTS", CaughtUp: caughtUp, SilentAfter: 30 * time.Minute, Stale: w.stale.Load}
	answers := query.New(query.Config{
		Source: source,
		Conn:   conn, Subjects: w.subjects, Version: "v1.2.3", History: w.history, Lag: func() uint64 { return 0 }, Now: w.now, Log: kit.Logger(w.t),
	})
	published := changes.NewPublisher(changes.Config{
		Roster: w.roster, CaughtUp: caughtUp, Conn: conn, Subjects: w.subjects,
		Silent:   func(time.Time) func(roster.Time, time.Duration) bool { return source.SilentAt(w.now()) },
		Interval: 20 * time.Millisecond, Log: kit.Logger(w.t), Registry: prometheus.NewRegistry(),
	})
	done := make(chan error, 2)
	go func() { done <- answers.Run(ctx) }()
	go func() { done <- published.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		stop()
		for range 2 {
			if err := <-done; err != nil {
				w.t.Errorf("running the service: %v", err)
			}
		}
	})
	w.t.Cleanup(func() { w.stop() })
	kit.Eventually(w.t, func() bool {
		_, err := conn.Request(w.subjects.Query("status"), nil, time.Minute) // the last to be there
		return !errors.Is(err, nats.ErrNoResponders)
	}, "the service answers")
}

// now is the time in the world.
func (w *world) now() time.Time { return time.Unix(0, w.clock.Load()).UTC() }

// fold folds events as the next messages, received a second after their date.
func (w *world) fold(events ...roster.Event) {
	var messages []roster.Message
	for i := range events {
		messages = append(messages, roster.Message{Receipt: events[i].Date.Add(time.Second), Event: events[i]})
	}
	w.foldMessages(messages...)
}

// foldMessages folds messages as the next ones.
func (w *world) foldMessages(messages ...roster.Message) {
	b := roster.Batch{End: w.roster.Status().Position}
	for _, m := range messages {
		b.End.Place++
		m.Place = b.End.Place
		b.Messages = append(b.Messages, m)
	}
	w.roster.Fold(&b)
	w.history.Put(&b)
}

// lose loses a message.
func (w *world) lose(why roster.Loss) {
	b := roster.Batch{End: w.roster.Status().Position, Missing: why}
	b.End.Place++
	w.roster.Fold(&b)
	w.history.Put(&b)
}

// letter stores a dead letter.
func (w *world) letter(machine, reason, detail string, received time.Time) {
	w.t.Helper()
	js := kit.JetStream(w.t, kit.Conn(w.t, w.server.URL))
	stream := w.deadLetters()
	_, err := js.CreateOrUpdateStream(w.t.Context(), jetstream.StreamConfig{Name: stream, Subjects: w.subjects.AllDeadLetters(), AllowDirect: true})
	if err != nil {
		w.t.Fatal(err)
	}
	m := nats.NewMsg(w.subjects.DeadLetter(uint64(received.Unix())))
	m.Header.Set(rollcallv1.HeaderReason, reason)
	m.Header.Set(rollcallv1.HeaderDetail, detail)
	m.Header.Set(rollcallv1.HeaderReceipt, received.Format(time.RFC3339Nano))
	m.Header.Set(rollcallv1.HeaderSubject, w.subjects.EventsOf(machine))
	if _, err := js.PublishMsg(w.t.Context(), m); err != nil {
		w.t.Fatal(err)
	}
}

// report asks the service who is on.
func (w *world) report() api.Report {
	w.t.Helper()
	conn, err := nats.Connect(w.server.URL)
	if err != nil {
		w.t.Fatal(err)
	}
	defer conn.Close()
	r, err := api.Join(func(yield func(api.Report, error) bool) {
		for data, err := range client.Pages(w.t.Context(), conn, w.subjects.Query("report"), api.ReportRequest{}) {
			page, decoded := api.DecodeReport(data)
			if !yield(page, cmp.Or(err, decoded)) {
				return
			}
		}
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) deadLetters() string { return "DEAD_" + w.subjects.Base() }

// at is a time of the day of the world's clock, such as "12:09", or of one before, such as
// "21 12:09".
func at(clock string) time.Time {
	day, of, ok := strings.Cut(clock, " ")
	if !ok {
		day, of = "22", clock
	}
	if strings.Count(of, ":") == 1 {
		of += ":00"
	}
	t, err := time.Parse(time.DateTime, "2026-11-"+day+" "+of)
	if err != nil {
		panic(err)
	}
	return t
}

// event returns an event of that time.
func event(clock string, kind roster.Type, machine, user, id string) roster.Event {
	return roster.Event{Date: roster.TimeOf(at(clock)), Type: kind, Machine: machine, Session: roster.Session{User: user, ID: id}}
}

func login(clock, machine, user string) roster.Event {
	return event(clock, roster.Login, machine, user, "")
}

func logout(clock, machine, user string) roster.Event {
	return event(clock, roster.Logout, machine, user, "")
}

func boots(clock, machine string) roster.Event { return event(clock, roster.Boot, machine, "", "") }

// from is a login with all details.
func from(clock, machine, user, id, remote string) roster.Event {
	e := event(clock, roster.Login, machine, user, id)
	e.Session.Remote, e.Session.Terminal, e.Session.Service = remote, "pts/"+id, "sshd"
	return e
}

// site is a page of a world.
type site struct {
	t     testing.TB
	world *world // nil: none
	page  *web.Page
	http  http.Handler
}

// connects returns how a page connects to a server.
func connects(url func() string) func(context.Context, ...nats.Option) (context.Context, *nats.Conn, error) {
	return func(ctx context.Context, more ...nats.Option) (context.Context, *nats.Conn, error) {
		conn, err := nats.Connect(url(), append([]nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond)}, more...)...)
		return ctx, conn, err
	}
}

// open opens a page of the world, and waits until it has read the roster.
func (w *world) open(change ...func(*web.Config)) *site {
	w.t.Helper()
	c := web.Config{
		Connect: connects(func() string { return w.server.URL }), Subjects: w.subjects, DeadLetters: client.LettersStream{Name: w.deadLetters()},
		Refused: func(error) error { return nil }, ServiceAccounts: []string{"svc-*"}, Streams: new(access.Streams), Version: "v1.2.3", Log: kit.Logger(w.t),
	}
	for _, one := range change {
		one(&c)
	}
	s := &site{t: w.t, world: w, page: web.New(c)}
	s.page.SetClock(w.now, time.Minute)
	s.http = s.page.Handler()
	kit.Run(w.t, s.page.Run)
	s.until("/", `class="pill live"`)
	return s
}

// alone returns a page that does not reach NATS.
func alone(t testing.TB) *site {
	t.Helper()
	subjects, err := rollcallv1.NewSubjects("rollcall")
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, page: web.New(web.Config{
		Connect: connects(func() string { return "nats://127.0.0.1:1" }), Subjects: subjects, Refused: func(error) error { return nil }, DeadLetters: client.LettersStream{Name: "D"}, Streams: new(access.Streams), Log: kit.Logger(t),
	})}
	s.page.SetClock(func() time.Time { return start }, time.Minute)
	s.http = s.page.Handler()
	kit.Run(t, s.page.Run)
	return s
}

// do sends a request, with headers as "Name: value".
func (s *site) do(method, url string, headers ...string) *httptest.ResponseRecorder {
	req := httptest.NewRequest(method, url, nil)
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	w := httptest.NewRecorder()
	s.http.ServeHTTP(w, req)
	return w
}

// get returns what is at a URL, which must be there.
func (s *site) get(url string) string {
	s.t.Helper()
	w := s.do(http.MethodGet, url)
	if w.Code != http.StatusOK {
		s.t.Fatalf("%s: status %d, %s: %s", url, w.Code, w.Header().Get("Location"), w.Body)
	}
	return w.Body.String()
}

// until waits until a page has a text.
func (s *site) until(url, text string) string {
	s.t.Helper()
	var body string
	kit.Eventually(s.t, func() bool {
		body = s.do(http.MethodGet, url).Body.String()
		return strings.Contains(body, text)
	}, url+" has "+text)
	return body
}
