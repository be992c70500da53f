package past

import (
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// land is a server that has many worlds.
type land struct {
	nc     *nats.Conn
	js     jetstream.JetStream
	worlds atomic.Int32
	// durable says that streams outlive the server.
	durable bool
}

func newLand(t *testing.T) *land {
	nc := kit.Conn(t, kit.StartServer(t).URL)
	return &land{nc: nc, js: kit.JetStream(t, nc)}
}

// world is a stream of its own, the roster that reads it, and an oracle.
type world struct {
	*land
	*Questions
	subjects rollcallv1.Subjects
	stream   jetstream.Stream
	roster   *roster.Roster
	oracle   *oracle
	behind   atomic.Bool

	// events are those that were sent, by sequence; a message that is none is
	// not there.
	events map[uint64]roster.Event
	sent   uint64
	queue  []*nats.Msg // to be stored
	base   uint64      // places given before the stream's first message
}

// tester is a test, or a check of rapid's.
type tester interface {
	Helper()
	Fatal(...any)
	Fatalf(string, ...any)
}

func (l *land) world(t tester, log *testing.T, s roster.Settings, change ...func(*Config)) *world {
	t.Helper()
	name := fmt.Sprintf("w%d", l.worlds.Add(1))
	subjects, err := rollcallv1.NewSubjects(name)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{
		land: l, subjects: subjects, roster: roster.New(s), oracle: newOracle(s.AllowedLateness),
		events: map[uint64]roster.Event{},
	}
	storage := jetstream.MemoryStorage
	if l.durable {
		storage = jetstream.FileStorage
	}
	w.stream, err = l.js.CreateStream(log.Context(), jetstream.StreamConfig{
		Name: name, Subjects: subjects.AllEvents(), Storage: storage,
	})
	if err != nil {
		t.Fatal(err)
	}
	config := Config{
		Roster: w.roster, Conn: l.nc, Stream: name, Subjects: subjects, Behind: w.behind.Load,
		Log: kit.Logger(log), Registry: prometheus.NewRegistry(),
	}
	for _, c := range change {
		c(&config)
	}
	if w.Questions, err = New(config); err != nil {
		t.Fatal(err)
	}
	w.patience = 20 * time.Second
	return w
}

// close frees what the world has on the server.
func (w *world) close(log *testing.T) {
	w.Close()
	_ = w.land.js.DeleteStream(log.Context(), w.stream.CachedInfo().Config.Name)
}

// send sends an event; wide is on the subject of all machines.
func (w *world) send(e roster.Event, wide bool) {
	subject := w.subjects.EventsOf(e.Machine)
	if wide {
		subject = w.subjects.Events()
	}
	w.sendTo(subject, e)
}

func (w *world) sendTo(subject string, e roster.Event) {
	w.raw(subject, wire.AppendJSON(nil, &e))
	w.events[w.sent] = e
}

// raw sends what need not be an event.
func (w *world) raw(subject string, payload []byte) {
	w.queue = append(w.queue, &nats.Msg{Subject: subject, Data: payload})
	w.sent++
}

// store publishes what was sent.
func (w *world) store(t tester) {
	t.Helper()
	for i, m := range w.queue {
		if _, err := w.land.js.PublishMsgAsync(m); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 999 { // the client lets 4,000 wait for their acks
			<-w.land.js.PublishAsyncComplete()
		}
	}
	w.queue = nil
	<-w.land.js.PublishAsyncComplete()
}

// read reads all that was sent into the roster and the oracle.
func (w *world) read(t tester, log *testing.T) {
	t.Helper()
	w.store(t)
	info := w.stream.CachedInfo()
	batch := roster.Batch{End: w.roster.Status().Position}
	batch.End.Place = max(batch.End.Place, w.base)
	batch.End.Base = int64(w.base)
	batch.End.Proof.Stream, batch.End.Proof.Created = info.Config.Name, roster.TimeOf(info.Created)
	decoder := wire.NewDecoder(w.subjects)
	for w.sent > batch.End.Sequence() {
		msg, err := w.stream.GetMsg(log.Context(), batch.End.Sequence()+1)
		if err != nil {
			t.Fatalf("getting message %d of %d: %v", batch.End.Sequence()+1, w.sent, err)
		}
		batch.End.Place++
		m := roster.Message{Place: batch.End.Place, Receipt: roster.TimeOf(msg.Time)}
		if e, ok := w.events[msg.Sequence]; ok {
			m.Event = e
			w.oracle.read(m)
		}
		m.Refusal = decoder.Decode(msg.Subject, "", msg.Data, &m.Event)
		batch.Messages = append(batch.Messages, m)
	}
	w.roster.Fold(&batch)
}

// purge removes what is before a sequence.
func (w *world) purge(t tester, log *testing.T, first uint64) {
	t.Helper()
	if err := w.stream.Purge(log.Context(), jetstream.WithPurgeSequence(first)); err != nil {
		t.Fatal(err)
	}
}

// ask asks until the whole answer is there.
func (w *world) ask(t tester, log *testing.T, q Question) *Answer {
	t.Helper()
	a, err := w.Ask(log.Context(), q)
	if err != nil {
		t.Fatalf("%+v: %v", q, err)
	}
	if !a.Done {
		t.Fatalf("%+v: not done: %+v", q, a)
	}
	if cursor := a.Take(a.Rows()); cursor != "" {
		t.Fatalf("%+v: cursor %q at the end", q, cursor)
	}
	return a
}

// onOf is an answer in the shape of the oracle.
func onOf(rows []On) map[string]map[sessionName]roster.Session {
	machines := map[string]map[sessionName]roster.Session{}
	for _, row := range rows {
		if machines[row.Machine] == nil {
			machines[row.Machine] = map[sessionName]roster.Session{}
		}
		if row.Session.User != "" {
			machines[row.Machine][nameOf(row.Session)] = row.Session
		}
	}
	return machines
}

// present is the roster as its views show it.
func (w *world) present() []On {
	var rows []On
	for v := range w.roster.Machines("") {
		sessions := v.AppendSessions(nil)
		for _, s := range sessions {
			rows = append(rows, On{v.Name(), v.Heard(), s})
		}
		if len(sessions) == 0 {
			rows = append(rows, On{Machine: v.Name(), Heard: v.Heard()})
		}
	}
	return rows
}

// sortStays sorts as answers do.
func sortStays(stays []Stay) []Stay {
	slices.SortFunc(stays, compareStays)
	return stays
}

// ago is a moment so many hours ago.
func ago(hours float64) roster.Time {
	return roster.TimeOf(time.Now().Add(-time.Duration(hours * float64(time.Hour))))
}

func at(date roster.Time, e roster.Event) roster.Event {
	e.Date = date
	return e
}

// lonely is a world with a server of its own.
func lonely(t *testing.T, s roster.Settings, change ...func(*Config)) *world {
	w := newLand(t).world(t, t, s, change...)
	t.Cleanup(w.Close)
	return w
}

// hundred is a world with a hundred machines, a user on each, and with an event
// of each that is newer than the moment.
func hundred(t *testing.T, change ...func(*Config)) (w *world, moment roster.Time) {
	w = lonely(t, settings(1000*time.Hour), change...)
	for i := range 100 {
		w.send(at(ago(20), kit.Login(fmt.Sprintf("machine-%02d", i), "lane")), i%2 == 0)
		w.send(at(ago(1), kit.Logout(fmt.Sprintf("machine-%02d", i), "lane")), i%2 == 0)
	}
	w.read(t, t)
	return w, ago(10)
}
