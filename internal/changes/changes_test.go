package changes

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"rollcall/internal/roster"
	"rollcall/internal/testkit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a publisher of a roster, and somebody who listens, each with a
// connection of its own.
type world struct {
	t        *testing.T
	server   *testkit.Server
	roster   *roster.Roster
	caughtUp atomic.Bool
	conn     *nats.Conn // the publisher's
	*Publisher

	messages chan *nats.Msg
	seen     map[string]uint64 // by machine: the place of its last change
}

func newWorld(t *testing.T, options ...func(*server.Options)) *world {
	t.Helper()
	w := &world{t: t, server: testkit.StartServer(t, options...), seen: map[string]uint64{}}
	w.roster = roster.New(roster.DefaultSettings())
	w.messages = make(chan *nats.Msg, 1000)
	nc := testkit.Conn(t, w.server.URL)
	for _, subject := range []string{"rollcall.changes", "rollcall.changes.>"} {
		if _, err := nc.ChanSubscribe(subject, w.messages); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	w.conn = testkit.Conn(t, w.server.URL)
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	w.Publisher = NewPublisher(Config{
		Roster: w.roster, CaughtUp: w.caughtUp.Load, Conn: w.conn, Subjects: subjects,
		Interval: 20 * time.Millisecond, Beat: time.Hour, Log: testkit.Logger(t), Registry: prometheus.NewRegistry(),
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
		return m
	case <-time.After(30 * time.Second):
		w.t.Fatal("no message")
		return nil
	}
}

// wantBeat wants a beat next.
func (w *world) wantBeat(since uint64) {
	w.t.Helper()
	m := w.next()
	b, err := DecodeBeat(m.Data)
	if err != nil || m.Subject != "rollcall.changes" || b.Since != since || b.Place < b.Since {
		w.t.Fatalf("%s: %s (%v), want a beat since %d", m.Subject, m.Data, err, since)
	}
}

// wantChange wants a change next, such as "web1 1 0 +lane -chris =lane": the
// machine, its place and previous, who came, left and is on.
func (w *world) wantChange(want string) {
	w.t.Helper()
	m := w.next()
	c, err := DecodeChange(m.Data)
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

// TestPublish: nothing is told before the roster has caught up; then each change
// names the one before.
func TestPublish(t *testing.T) {
	w := newWorld(t)
	testkit.Feed(w.roster, testkit.Login("web1", "chris"))
	w.start()
	testkit.Feed(w.roster, testkit.Login("web1", "jordan"))
	select {
	case m := <-w.messages:
		t.Errorf("%s: %s, before it has caught up", m.Subject, m.Data)
	case <-time.After(4 * startPoll):
	}
	w.caughtUp.Store(true)
	w.wantBeat(2)
	testkit.Feed(w.roster, testkit.Login("web1", "lane"), testkit.Logout("web1", "chris"))
	w.wantChange("web1 4 2 +lane -chris =jordan =lane")
	testkit.Feed(w.roster, testkit.Logout("web1", "lane"))
	w.wantChange("web1 5 4 -lane =jordan")
	testkit.Feed(w.roster, testkit.Login("wéb.", "lane"))
	w.wantChange("wéb. 6 2 +lane =lane")
	testkit.Feed(w.roster, testkit.Login("web1", "jordan"), testkit.Logout("db1", "lane")) // no change
	testkit.Feed(w.roster, testkit.Login("web1", "lane"))
	w.wantChange("web1 9 5 +lane =jordan =lane")
	testkit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.published) == 4 }, "four are counted")
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

// TestNoBeatsWhileStale: while nobody knows how the stream stands there is no
// beat; changes are told, and beats come again when it is in sight.
func TestNoBeatsWhileStale(t *testing.T) {
	w := newWorld(t)
	w.Beat = 0
	var stale atomic.Bool
	stale.Store(true)
	w.Stale = stale.Load
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0) // the first, with which it begins
	testkit.Feed(w.roster, testkit.Login("web1", "lane"))
	w.wantChange("web1 1 0 +lane =lane")
	stale.Store(false)
	w.wantBeat(0)
}

// TestAwayAndBack: what could not be told, or may be lost, is not told later,
// but that it is missing.
func TestAwayAndBack(t *testing.T) {
	for name, wait := range map[string]time.Duration{
		"long": 300 * time.Millisecond, "short": time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.conn = testkit.Conn(t, w.server.URL, nats.ReconnectWait(wait))
			w.Conn = w.conn
			w.caughtUp.Store(true)
			w.start()
			w.wantBeat(0)
			testkit.Feed(w.roster, testkit.Login("web1", "lane"))
			w.wantChange("web1 1 0 +lane =lane")
			client, err := w.conn.GetClientID()
			if err == nil {
				err = w.server.NATS().DisconnectClientByID(client)
			}
			if err != nil {
				t.Fatal(err)
			}
			testkit.Eventually(t, func() bool { return testutil.ToFloat64(w.metrics.missed) == 1 }, "something is missed")
			testkit.Feed(w.roster, testkit.Login("web1", "chris"))
			since := uint64(2)
			if m := w.next(); m.Subject == "rollcall.changes" { // began before that, or after
				b, err := DecodeBeat(m.Data)
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
			testkit.Feed(w.roster, testkit.Logout("web1", "lane"))
			w.wantChange("web1 3 2 -lane =chris")
		})
	}
}

// TestNotSentLate: a change that happens while the connection is away is not kept
// until it is back, but missed.
func TestNotSentLate(t *testing.T) {
	w := newWorld(t)
	w.conn = testkit.Conn(t, w.server.URL, nats.ReconnectWait(500*time.Millisecond))
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
	testkit.Eventually(t, func() bool { return !w.conn.IsConnected() }, "the connection is away")
	testkit.Feed(w.roster, testkit.Login("web1", "lane"))
	w.wantBeat(1)
}

// TestTooMuch: more than there is room for begins anew too.
func TestTooMuch(t *testing.T) {
	w := newWorld(t)
	w.Interval = time.Hour // but half of the room is published at once
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0)
	b := roster.Batch{Messages: make([]roster.Message, room+1)}
	for i := range b.Messages {
		b.End.Place++
		e := testkit.Login("web1", "lane")
		if i%2 == 1 {
			e = testkit.Logout("web1", "lane")
		}
		e.Date = roster.TimeOf(testkit.At) + roster.Time(i)
		b.Messages[i] = roster.Message{Place: b.End.Place, Receipt: e.Date, Event: e}
	}
	w.roster.Fold(&b)
	w.wantBeat(room + 1)
}

// TestLarge: what does not fit one message is said to be left out.
func TestLarge(t *testing.T) {
	w := newWorld(t, func(o *server.Options) { o.MaxPayload = 8 << 10 })
	w.caughtUp.Store(true)
	w.start()
	w.wantBeat(0)
	var events []roster.Event
	for i := range 40 {
		events = append(events, testkit.Login("web1", strings.Repeat("x", 250)+fmt.Sprint(i)))
	}
	testkit.Feed(w.roster, events...)
	m := w.next()
	c, err := DecodeChange(m.Data)
	if err != nil || !c.Large || c.Place != 40 || len(c.Users)+len(c.Came) > 0 {
		t.Errorf("%s (%v)", m.Data, err)
	}
	testkit.Feed(w.roster, roster.Event{Type: roster.Shutdown, Machine: "web1"}, testkit.Login("web1", "lane"))
	if c, err = DecodeChange(w.next().Data); err == nil && c.Large { // 40 of them left
		testkit.Feed(w.roster, testkit.Login("web1", "chris"))
		w.wantChange("web1 43 42 +chris =chris =lane")
	} else {
		t.Errorf("%+v (%v), want one that is large", c, err)
	}
}

// TestStopped: a publisher that has ended follows no more, and one that never
// began ends too.
func TestStopped(t *testing.T) {
	w := newWorld(t)
	w.start()()
	w.caughtUp.Store(true)
	stop := w.start()
	w.wantBeat(0)
	stop()
	testkit.Feed(w.roster, testkit.Login("web1", "lane"))
	if _, complete := w.follower.Take(); !complete {
		t.Error("not complete")
	}
	for c := range w.follower.Changes() {
		t.Errorf("%+v is still noted", c)
	}
}

func TestDecode(t *testing.T) {
	for _, bad := range []string{
		"", "{}", "null", `{"machine":"m","place":1}`, `{"machine":"m","users":[]}`, `{"place":1,"users":[]}`,
		`{"machine":"m","place":-1,"users":[]}`, `{"machine":"m","machine":"n","place":1,"users":[]}`,
	} {
		if c, err := DecodeChange([]byte(bad)); err == nil {
			t.Errorf("%s is %+v", bad, c)
		}
		if b, err := DecodeBeat([]byte(bad)); err == nil {
			t.Errorf("%s is %+v", bad, b)
		}
	}
	const good = `{"machine":"m","when":"2026-11-22T21:00:00Z","place":3,"previous":2,"came":["a"],"left":[],"users":["a"],"new":1}`
	if c, err := DecodeChange([]byte(good)); err != nil || c.Previous != 2 || c.When != testkit.At {
		t.Errorf("%+v, %v", c, err)
	}
}
