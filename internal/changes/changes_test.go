package changes

import (
	"context"
	"errors"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"rollcall/internal/api"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a publisher of a roster, and a subscriber, each with its own connection.
type world struct {
	t        *testing.T
	server   *kit.Server
	roster   *roster.Roster
	caughtUp atomic.Bool
	conn     *nats.Conn // the publisher's
	*Publisher

	messages chan *nats.Msg
	number   uint64       // of the last message received
	now      atomic.Int64 // in seconds after kit.At: when silence is judged
}

func newWorld(t *testing.T, options ...func(*server.Options)) *world {
	t.Helper()
	w := &world{t: t, server: kit.StartServer(t, options...)}
	w.roster = roster.New(roster.DefaultSettings())
	w.messages = make(chan *nats.Msg, 1000)
	nc := kit.Conn(t, w.server.URL)
	for _, subject := range []string{"rollcall.changes", "rollcall.changes.>"} {
		if _, err := nc.ChanSubscribe(subject, w.messages); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	w.conn = kit.Conn(t, w.server.URL)
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	w.Publisher = NewPublisher(Config{
		Roster: w.roster, CaughtUp: w.caughtUp.Load, Conn: w.conn, Subjects: subjects,
		Interval: 20 * time.Millisecond, Beat: time.Hour, Log: kit.Logger(t), Registry: prometheus.NewRegistry(),
		Instance: "process", Silent: func(time.Time) isSilent {
			source := report.Source{SilentAfter: time.Minute}
			return source.SilentAt(kit.At.Add(time.Duration(w.now.Load()) * time.Second))
		},
	})
	return w
}

// start runs the publisher until the test ends or stop is called.
func (w *world) start() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	stop = func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Error(err)
		}
		done <- nil
	}
	w.t.Cleanup(stop)
	return stop
}

func (w *world) next() *nats.Msg {
	w.t.Helper()
	select {
	case m := <-w.messages:
		var head struct {
			Instance string `json:"instance"`
			Number   uint64 `json:"number"`
		}
		if err := json.Unmarshal(m.Data, &head); err != nil || head.Instance != "process" || head.Number != w.number+1 {
			w.t.Errorf("%s (%v), want number %d", m.Data, err, w.number+1)
		}
		w.number = head.Number
		return m
	case <-time.After(30 * time.Second):
		w.t.Fatal("no message")
		return nil
	}
}

// wantBeat expects a beat next.
func (w *world) wantBeat(since uint64) {
	w.t.Helper()
	m := w.next()
	b, err := api.DecodeBeat(m.Data)
	if err != nil || m.Subject != "rollcall.changes" || b.Since != since || b.Place < b.Since {
		w.t.Fatalf("%s: %s (%v), want a beat since %d", m.Subject, m.Data, err, since)
	}
}

// wantChange expects a change next, such as "web1 1 0 +lane -chris =lane": the
// machine, its place and previous place, who arrived, who left and who is on.
func (w *world) wantChange(want string) {
	w.t.Helper()
	m := w.next()
	c, err := api.DecodeChange(m.Data)
	if err != nil || m.Subject != w.Subjects.ChangesOf(c.Machine) {
		w.t.Fatalf("%s: %s (%v)", m.Subject, m.Data, err)
	}
	got := fmt.Sprintf("%s %d %d", c.Machine, c.Place, c.Previous)
	for sign, names := range map[string][]string{"+": c.Came, "-": c.Left, "=": c.Users} {
		for _, name := range names {
			got += " " + sign + name
		}
	}
	fields := strings.Fields(got)
	slices.Sort(fields[3:])
	if got = strings.Join(fields, " "); got != want {
		w.t.Errorf("%s: %q, want %q", m.Data, got, want)
	}
}

// TestPublish: nothing is published before the roster has caught up; then each
// change names the previous one.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	kit.Feed(w.roster, kit.Login("web1", "chris"))
	w.start()
	kit.Feed(w.roster, kit.Login("web1", "jordan"))
	select {
	case m := <-w.messages:
		t.Errorf("%s: %s, before it has caught up", m.Subject, m.Data)
	case <-time.After(4 * startPoll):
	}
	w.caughtUp.Store(true)
	w.wantBeat(2)
	kit.Feed(w.roster, kit.Login("web1", "lane"), kit.Logout("web1", "chris"))
	w.wantChange("web1 4 2 +lane -chris =jordan =lane")
	kit.Feed(w.roster, kit.Logout("web1", "lane"))
	w.wantChange("web1 5 4 -lane =jordan")
	kit.Feed(w.roster, kit.Login("wéb.", "lane"))
	w.wantChange("wéb. 6 2 +lane =lane")
	kit.Feed(w.roster, roster.Event{Type: roster.Present, Machine: "web1", Sessions: []roster.Session{{User: "jordan"}}}) // no change
	kit.Feed(w.roster, kit.Login("web1", "lane"))
	w.wantChange("web1 8 5 +lane =jordan =lane")
	kit.Feed(w.roster, kit.Logout("db1", "lane")) // a new machine
	w.wantChange("db1 9 2")
	kit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.published) == 5 }, "five are counted")
}

// TestFields: a change has what a report has of its machine.
func TestFields(t *testing.T) {
	w := newWorld(t)
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0)
	w.now.Store(1000)
	late := kit.Login("web1", "lane")
	late.Date, late.Origin, late.Number = roster.TimeOf(kit.At), "o", 3
	kit.Feed(w.roster, roster.Event{Type: roster.Boot, Machine: "web1"}, late)
	c, err := api.DecodeChange(w.next().Data)
	want := api.Machine{Name: "web1", Heard: kit.At.Add(2 * time.Second), Silent: true, Missing: 2, Changed: kit.At, Users: []string{}}
	got := api.Machine{
		Name: c.Machine, Heard: c.Heard, Silent: c.Silent, Incomplete: c.Incomplete,
		Missing: c.Missing, Changed: c.Changed, Users: c.Users,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v (%v), want %+v", got, err, want)
	}
	w.roster.Fold(&roster.Batch{End: roster.Position{Place: 3}, Missing: roster.Gap})
	kit.Feed(w.roster, kit.Login("web1", "lane"))
	if c, err := api.DecodeChange(w.next().Data); err != nil || !c.Incomplete {
		t.Errorf("%+v (%v), want one that is incomplete", c, err)
	}
}

func TestBeats(t *testing.T) {
	w := newWorld(t)
	w.Beat = 0
	w.caughtUp.Store(true)
	w.start()
	for range 3 {
		w.wantBeat(0)
	}
}

// TestNoBeatsWhileStale: while the state of the stream is unknown there are no
// beats; changes are published, and beats resume once it is known.
func TestNoBeatsWhileStale(t *testing.T) {
	w := newWorld(t)
	w.Beat = 0
	var stale atomic.Bool
	stale.Store(true)
	w.Stale = stale.Load
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0) // the first, with which it begins
	kit.Feed(w.roster, kit.Login("web1", "lane"))
	w.wantChange("web1 1 0 +lane =lane")
	stale.Store(false)
	w.wantBeat(0)
}

// TestFence: a process that is not the active one publishes nothing; when it is, changes begin
// with a beat at its place, also when it becomes it again.
func TestFence(t *testing.T) {
	w := newWorld(t)
	var passive atomic.Bool
	var asked atomic.Int64
	passive.Store(true)
	w.Fence = func(send func()) error {
		asked.Add(1)
		if passive.Load() {
			return errors.New("another process is active")
		}
		send()
		return nil
	}
	w.caughtUp.Store(true)
	stop := w.start()
	kit.Feed(w.roster, kit.Login("web1", "lane"))
	kit.Eventually(t, func() bool { return asked.Load() >= 3 }, "it has asked whether it may publish")
	passive.Store(false)
	w.wantBeat(1)
	kit.Feed(w.roster, kit.Login("web1", "kim"))
	w.wantChange("web1 2 1 +kim =kim =lane")
	stop()
	kit.Feed(w.roster, kit.Login("web2", "kim"))
	w.start()
	w.wantBeat(3)
}

// TestFencedOff: a process that is not the active one any more sends not even the rest of the
// changes that it has begun with.
func TestFencedOff(t *testing.T) {
	w := newWorld(t)
	var last atomic.Uint64 // how many messages may be sent
	last.Store(math.MaxUint64)
	w.Fence = func(send func()) error {
		if w.conn.Stats().OutMsgs >= last.Load() {
			return errors.New("another process is active")
		}
		send()
		return nil
	}
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0)
	last.Store(w.conn.Stats().OutMsgs + 1)
	kit.Feed(w.roster, kit.Login("web1", "lane"), kit.Login("web2", "lane"), kit.Login("web3", "lane"))
	w.wantChange("web1 3 0 +lane =lane")
	kit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.missed) == 1 }, "something is missed")
	w.number++ // of the change that was not sent
	last.Store(math.MaxUint64)
	w.wantBeat(3)
}

// TestReconnect: changes that could not be published, or may be lost, are not
// published later; a beat shows that they are missing.
func TestReconnect(t *testing.T) {
	for name, wait := range map[string]time.Duration{
		"long": 300 * time.Millisecond, "short": time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.conn = kit.Conn(t, w.server.URL, nats.ReconnectWait(wait))
			w.Conn = w.conn
			w.caughtUp.Store(true)
			w.start()
			w.wantBeat(0)
			kit.Feed(w.roster, kit.Login("web1", "lane"))
			w.wantChange("web1 1 0 +lane =lane")
			client, err := w.conn.GetClientID()
			if err == nil {
				err = w.server.NATS().DisconnectClientByID(client)
			}
			if err != nil {
				t.Fatal(err)
			}
			kit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.missed) == 1 }, "something is missed")
			kit.Feed(w.roster, kit.Login("web1", "chris"))
			since := uint64(2)
			if m := w.next(); m.Subject == "rollcall.changes" { // began before that, or after
				b, err := api.DecodeBeat(m.Data)
				if err != nil || b.Since < 1 {
					t.Fatalf("%s (%v)", m.Data, err)
				}
				since = b.Since
			} else {
				t.Fatalf("%s: %s, want a beat", m.Subject, m.Data)
			}
			if since == 1 {
				w.wantChange("web1 2 1 +chris =chris =lane")
			}
			kit.Feed(w.roster, kit.Logout("web1", "lane"))
			w.wantChange("web1 3 2 -lane =chris")
		})
	}
}

// TestNotSentLate: a change that happens while disconnected is not buffered until
// the connection returns, but missed.
func TestNotSentLate(t *testing.T) {
	w := newWorld(t)
	w.conn = kit.Conn(t, w.server.URL, nats.ReconnectWait(500*time.Millisecond))
	w.Conn = w.conn
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0)
	client, err := w.conn.GetClientID()
	if err == nil {
		err = w.server.NATS().DisconnectClientByID(client)
	}
	if err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool { return !w.conn.IsConnected() }, "the connection is away")
	kit.Feed(w.roster, kit.Login("web1", "lane"))
	w.wantBeat(1)
}

// TestTooManyChanges: more transitions than the feed has space for also cause a
// restart.
func TestTooManyChanges(t *testing.T) {
	w := newWorld(t)
	w.Interval = time.Hour // but half of the room is published at once
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0)
	b := roster.Batch{Messages: make([]roster.Message, maxTransitions+1)}
	for i := range b.Messages {
		b.End.Place++
		e := kit.Login("web1", "lane")
		if i%2 == 1 {
			e = kit.Logout("web1", "lane")
		}
		e.Date = roster.TimeOf(kit.At) + roster.Time(i)
		b.Messages[i] = roster.Message{Place: b.End.Place, Receipt: e.Date, Event: e}
	}
	w.roster.Fold(&b)
	w.wantBeat(maxTransitions + 1)
}

// TestLarge: a change that does not fit in one message says that it is large.
func TestLarge(t *testing.T) {
	w := newWorld(t, func(o *server.Options) { o.MaxPayload = 8 << 10 })
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0)
	var events []roster.Event
	for i := range 40 {
		events = append(events, kit.Login("web1", strings.Repeat("x", 250)+fmt.Sprint(i)))
	}
	kit.Feed(w.roster, events...)
	m := w.next()
	c, err := api.DecodeChange(m.Data)
	if err != nil || !c.Large || c.Place != 40 || len(c.Users)+len(c.Came) > 0 {
		t.Errorf("%s (%v)", m.Data, err)
	}
	kit.Feed(w.roster, roster.Event{Type: roster.Shutdown, Machine: "web1"}, kit.Login("web1", "lane"))
	if c, err = api.DecodeChange(w.next().Data); err == nil && c.Large { // 40 of them left
		kit.Feed(w.roster, kit.Login("web1", "chris"))
		w.wantChange("web1 43 42 +chris =chris =lane")
	} else {
		t.Errorf("%+v (%v), want one that is large", c, err)
	}
}

// TestStopped: a publisher that has stopped has closed its feed, and one that never
// started stops too.
func TestStopped(t *testing.T) {
	w := newWorld(t)
	w.start()()
	w.caughtUp.Store(true)
	stop := w.start()
	w.wantBeat(0)
	stop()
	kit.Feed(w.roster, kit.Login("web1", "lane"))
	if _, complete := w.feed.Take(); !complete {
		t.Error("not complete")
	}
	for c := range w.feed.Changes() {
		t.Errorf("%+v is still recorded", c)
	}
}
