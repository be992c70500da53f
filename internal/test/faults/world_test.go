package faults

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sort"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// world is a server, the events published to it, and a service in this process that
// reads them and can be stopped and started. Its oracle is the fold of the published
// events without those lost before they could be read.
type world struct {
	*kit.Server
	*service
	t        *testing.T
	js       jetstream.JetStream
	streams  natsconn.Streams
	link     *proxy     // from the service to the server
	nc       *nats.Conn // for the service
	other    *nats.Conn // for its dead letters
	log      *journal
	dir      string // of the snapshots
	epoch    time.Time
	numbered int      // number of events so far
	events   []*entry // published, in order
	accept   uint64   // ROLLCALL_ACCEPT_LOSS
	reasons  []string // why the roster is incomplete, at the last check
	rejudged int      // events refused twice, as nothing showed that they were judged before
	replayTo uint64   // the service may not report caught up at or before this place

	mu     sync.Mutex
	places map[uint64]string // payload by place
}

// entry is one published event.
type entry struct {
	number        int
	machine, user string
	kind          string
	seq           uint64 // in the stream
	bad           bool   // to be refused
	lost          bool   // deleted before it was read
	ahead         bool   // dated as far ahead as the skew allows
	date          time.Time
}

// newWorld starts the server and connects to it, with a stream of events that allows
// deletes and purges, and to whose configuration the changes are applied.
func newWorld(t *testing.T, changes ...func(*jetstream.StreamConfig)) *world {
	t.Helper()
	w := &world{
		Server: kit.StartServer(t), t: t, dir: t.TempDir(), log: newJournal(t),
		epoch: time.Now().Add(-time.Hour).Truncate(time.Second), places: map[uint64]string{},
	}
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	w.streams = natsconn.Streams{
		Subjects: subjects, Events: rollcallv1.DefaultEventsStream, Reports: rollcallv1.DefaultReportsStream,
		DeadLetters: rollcallv1.DefaultDeadLettersStream, AllowedLateness: time.Hour, Replicas: 1,
	}
	w.js = kit.JetStream(t, kit.Conn(t, w.URL))
	w.link = newProxy(t, w.URL)
	w.nc, w.other = w.connect(), w.connect()
	w.create(changes...)
	w.prepare(t.Context())
	return w
}

// connect connects the service, with the settings of the program but shorter waits
// between reconnects.
func (w *world) connect() *nats.Conn {
	w.t.Helper()
	closed := make(chan struct{})
	nc, err := natsconn.Connect(w.t.Context(), natsconn.Options{URL: w.link.URL}, w.t.Name(), w.log.logger(),
		nats.ReconnectWait(20*time.Millisecond), nats.ReconnectJitter(0, 0),
		nats.ClosedHandler(func(*nats.Conn) { close(closed) }))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// create creates the stream of events.
func (w *world) create(changes ...func(*jetstream.StreamConfig)) {
	w.t.Helper()
	config := jetstream.StreamConfig{
		Name: w.streams.Events, Subjects: w.streams.Subjects.AllEvents(),
		Storage: jetstream.FileStorage, AllowDirect: true, Duplicates: 100 * time.Millisecond,
	}
	for _, change := range changes {
		change(&config)
	}
	kit.CreateStream(w.t, w.js, config)
}

// update changes the configuration of the stream of events.
func (w *world) update(change func(*jetstream.StreamConfig)) {
	w.t.Helper()
	config := w.stream().CachedInfo().Config
	change(&config)
	if _, err := w.js.UpdateStream(w.t.Context(), config); err != nil {
		w.t.Fatal(err)
	}
}

// prepare creates the streams that are missing, as the service does.
func (w *world) prepare(ctx context.Context) error {
	_, err := natsconn.Prepare(ctx, w.js, w.streams, w.log.logger())
	return err
}

// stream returns the stream of events, with its current state.
func (w *world) stream() jetstream.Stream {
	w.t.Helper()
	var s jetstream.Stream
	kit.Eventually(w.t, func() bool {
		var err error
		s, err = w.js.Stream(w.t.Context(), w.streams.Events)
		return err == nil
	}, "there is a stream of events")
	return s
}

// delete deletes the stream of events.
func (w *world) delete() {
	w.t.Helper()
	if err := w.js.DeleteStream(w.t.Context(), w.streams.Events); err != nil {
		w.t.Fatal(err)
	}
}

// publish publishes n events, some of which are to be refused, and returns them. Each is
// dated after all before it.
func (w *world) publish(n int) []*entry {
	w.t.Helper()
	var published []*entry
	for range n {
		i := w.numbered
		e := &entry{
			machine: fmt.Sprintf("m%d", i%3), user: fmt.Sprintf("u%d", i*i%7), kind: "login",
			bad: i%10 == 3 || i%10 == 7,
		}
		if i%5 == 2 {
			e.kind = "logout"
		}
		published = append(published, w.send(e))
	}
	return published
}

// settle publishes a boot of each machine, dated after everything that was lost: nobody
// is logged in, and no machine is unsettled. The roster stays incomplete, as events of a
// machine never heard from may have been lost.
func (w *world) settle() {
	w.t.Helper()
	w.send(&entry{machine: "m0", kind: "boot", ahead: true}) // may be the first event after the loss
	<-time.After(10 * time.Millisecond)                      // so that the next ones are dated after it
	for i := range 3 {
		w.send(&entry{machine: fmt.Sprintf("m%d", i), kind: "boot", ahead: true})
	}
	w.check(w.reasons...)
	if got := w.gauges(w, "rollcall_machines_unsettled")[""]; got != 0 {
		w.t.Errorf("%v machines are unsettled", got)
	}
}

// send publishes an event, retrying until the server has stored it.
func (w *world) send(e *entry) *entry {
	w.t.Helper()
	e.number = w.numbered
	w.numbered++
	date := w.epoch.Add(time.Duration(e.number) * time.Millisecond)
	if e.ahead {
		date = time.Now().Add(roster.DefaultSettings().MaxSkew - time.Millisecond)
	}
	e.date = date
	payload := fmt.Appendf(nil, `{"date":%q,"type":%q,"machine":%q,"user":%q,"note":"number %06d."}`,
		date.UTC().Format(time.RFC3339Nano), e.kind, e.machine, e.user, e.number)
	switch {
	case e.bad && e.number%10 == 3:
		payload[2] = 'D' // the key Date is unknown, so the date is missing
	case e.bad:
		payload = fmt.Appendf(nil, `{"date":"2099-01-01T00:00:00Z","type":"login","machine":%q,"user":"future %d"}`, e.machine, e.number)
	}
	kit.Eventually(w.t, func() bool {
		ack, err := w.js.Publish(w.t.Context(), w.streams.Subjects.Events(), payload)
		if err == nil {
			e.seq = ack.Sequence
		}
		return err == nil
	}, "an event is published")
	w.events = append(w.events, e)
	return e
}

// markLost marks events that were deleted before they could be read.
func (w *world) markLost(events []*entry) {
	for _, e := range events {
		e.lost = true
	}
}

// oracle returns the users by machine, computed like the script that rollcall grew out
// of: it sorts the accepted events by date and folds them one by one.
func (w *world) oracle() map[string][]string {
	events := slices.Clone(w.events)
	sort.SliceStable(events, func(i, j int) bool { return events[i].date.Before(events[j].date) })
	machines := map[string]map[string]bool{}
	for _, e := range events {
		if e.bad || e.lost {
			continue
		}
		if machines[e.machine] == nil || e.kind == "boot" {
			machines[e.machine] = map[string]bool{}
		}
		switch e.kind {
		case "login":
			machines[e.machine][e.user] = true
		case "logout":
			delete(machines[e.machine], e.user)
		}
	}
	on := map[string][]string{}
	for machine, users := range machines {
		on[machine] = slices.Sorted(maps.Keys(users))
	}
	return on
}

// refused counts the events to be refused that could be read.
func (w *world) refused() (n int) {
	for _, e := range w.events {
		if e.bad && !e.lost {
			n++
		}
	}
	return n
}
