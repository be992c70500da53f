package cluster_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/machine"
)

// The load: this many machines, each of which has this many users, publish together this many
// events a second.
const (
	machines = 4
	users    = 10
	rate     = 1000
)

// inFlight is how many events of a machine may wait for their acks, and ackWithin how long one
// waits until it is sent again. If more were sent again sooner, they would be a load of their own
// that keeps a busy cluster from acknowledging anything.
const (
	inFlight  = 200
	ackWithin = 5 * time.Second
)

// event is an event that the servers have acknowledged. Its JSON is the payload.
type event struct {
	Date    time.Time `json:"date"`
	Type    string    `json:"type"`
	Machine string    `json:"machine"`
	User    string    `json:"user"`
	Note    string    `json:"note"` // a number of its own
}

// load publishes events, each until it is acknowledged.
type load struct {
	t       *testing.T
	stopped chan struct{}
	running sync.WaitGroup

	mu      sync.Mutex
	acked   []event
	at      map[uint64]time.Time // when the event of this sequence was acknowledged
	note    map[uint64]string
	repeats int // events that got no ack at first
	slowest time.Duration
}

// newLoad enrolls the machines and starts publishing. The machines are connected to all servers
// alike.
func newLoad(w *world) *load {
	w.t.Helper()
	l := &load{t: w.t, stopped: make(chan struct{}), at: map[uint64]time.Time{}, note: map[uint64]string{}}
	w.run(fmt.Sprintf("seed() { for n in $(seq %d); do echo m$n; done; }; seed | rollcall enroll --dir enrolled -", machines))
	for i := range machines {
		name := fmt.Sprint("m", i+1)
		nc := w.connect(user("machines/"+name), i)
		l.running.Go(func() { l.publish(nc, name) })
	}
	w.t.Cleanup(l.stop)
	return l
}

// stop ends the publishing, and returns once everything is acknowledged.
func (l *load) stop() {
	select {
	case <-l.stopped:
	default:
		close(l.stopped)
	}
	l.running.Wait()
}

// publish publishes the events of a machine at its share of the rate. While there are no acks it
// goes on, until too many are outstanding.
func (l *load) publish(nc *nats.Conn, name string) {
	tick := time.NewTicker(time.Second * machines / rate)
	defer tick.Stop()
	outstanding := make(chan struct{}, inFlight)
	for n := 0; ; n++ {
		select {
		case <-l.stopped:
			return
		case <-tick.C:
		}
		e := event{time.Now(), []string{"login", "logout"}[rand.IntN(2)], name, fmt.Sprint("u", rand.IntN(users)), fmt.Sprint(name, ".", n)}
		outstanding <- struct{}{}
		l.running.Go(func() {
			l.untilAcked(nc, e)
			<-outstanding
		})
	}
}

// untilAcked publishes an event, and again if there is no ack. Repeated it means the same.
func (l *load) untilAcked(nc *nats.Conn, e event) {
	payload, _ := json.Marshal(e) // an event always can be
	for began, repeated := time.Now(), false; ; repeated = true {
		answer, err := nc.Request("rollcall.events."+e.Machine, payload, ackWithin)
		var ack struct {
			Stream string `json:"stream"`
			Seq    uint64 `json:"seq"`
		}
		if err == nil && json.Unmarshal(answer.Data, &ack) == nil && ack.Seq > 0 {
			l.record(e, ack.Seq, time.Since(began), repeated)
			return
		}
		if time.Since(began) > 2*time.Minute {
			l.t.Errorf("an event was not acknowledged within two minutes: %v", err)
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
}

func (l *load) record(e event, seq uint64, took time.Duration, repeated bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.acked, l.at[seq], l.note[seq] = append(l.acked, e), time.Now(), e.Note
	l.slowest = max(l.slowest, took)
	if repeated {
		l.repeats++
	}
}

// phase returns how many events were acknowledged since the last call, how many of them got no
// ack at first, and how long the slowest took.
func (l *load) phase(before *int) (acked, repeats int, slowest time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	acked, repeats, slowest = len(l.acked)-*before, l.repeats, l.slowest
	*before, l.repeats, l.slowest = len(l.acked), 0, 0
	return acked, repeats, slowest
}

// ackedAt returns when the event of a sequence was acknowledged; the zero time if it was not.
func (l *load) ackedAt(sequence uint64) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.at[sequence]
}

// fold is the oracle: of each user of each machine the newest event, by its date.
type fold map[string]map[string]event

func (f fold) add(e event) {
	if f[e.Machine] == nil {
		f[e.Machine] = map[string]event{}
	}
	if e.Date.After(f[e.Machine][e.User].Date) {
		f[e.Machine][e.User] = e
	}
}

// users returns who is on a machine.
func (f fold) users(machine string) (on []string) {
	for user, e := range f[machine] {
		if e.Type == "login" {
			on = append(on, user)
		}
	}
	slices.Sort(on)
	return on
}

// on returns who is on, after the acknowledged events.
func (l *load) on() map[string][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	f, all := fold{}, map[string][]string{}
	for _, e := range l.acked {
		f.add(e)
	}
	for machine := range f {
		if users := f.users(machine); len(users) > 0 {
			all[machine] = users
		}
	}
	return all
}

// wantStored wants every acknowledged event in the stream, at the place that its ack named. It
// returns the events of the stream.
func (l *load) wantStored(admin *nats.Conn, last uint64) (stored []event) {
	l.t.Helper()
	js, err := jetstream.New(admin)
	if err != nil {
		l.t.Fatal(err)
	}
	// It pulls some hundred at a time. All at once would overflow the client's buffer.
	consumer, err := js.OrderedConsumer(l.t.Context(), events, jetstream.OrderedConsumerConfig{FilterSubjects: []string{"rollcall.events.>"}})
	if err != nil {
		l.t.Fatal(err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		l.t.Fatal(err)
	}
	defer messages.Stop()
	for uint64(len(stored)) < last {
		msg, err := messages.Next(jetstream.NextMaxWait(20 * time.Second))
		if err != nil {
			l.t.Fatalf("reading the stream after %d of %d: %v", len(stored), last, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			l.t.Fatal(err)
		}
		var e event
		if err := json.Unmarshal(msg.Data(), &e); err != nil {
			l.t.Fatal(err)
		}
		if stored = append(stored, e); meta.Sequence.Stream != uint64(len(stored)) {
			l.t.Fatalf("event %d comes after event %d", meta.Sequence.Stream, len(stored)-1)
		}
	}
	missing := 0
	for sequence, note := range l.note {
		if sequence > last || stored[sequence-1].Note != note {
			missing++
		}
	}
	if missing > 0 || len(l.note) != len(l.acked) {
		l.t.Errorf("of %d acknowledged events, with %d sequences, %d are missing", len(l.acked), len(l.note), missing)
	}
	return stored
}

// wantRoster wants the services to have read everything, and the reports of both, one of which
// takes over from the other one, and the watch to end with what the oracle says.
func (l *load) wantRoster(w *world, last uint64) {
	w.t.Helper()
	active, other := w.active()
	for _, m := range []*machine.Machine{active, other} {
		program.Eventually(w.t, "the service has read everything", func() bool { return w.metrics(m)["rollcall_position"] == fmt.Sprint(last) })
		got := w.metrics(m)
		for name, want := range map[string]string{
			`rollcall_fates{fate="lost"}`: "0", `rollcall_fates{fate="dead_lettered"}`: "0", "rollcall_complete": "1",
			`rollcall_incarnations_total{kind="recreated"}`: "0", `rollcall_incarnations_total{kind="restored"}`: "0",
		} {
			if got[name] != want {
				w.t.Errorf("%s is %q, want %s", name, got[name], want)
			}
		}
	}
	want := l.on()
	wantReport := func() {
		w.t.Helper()
		if got := w.report(); !maps.EqualFunc(got, want, slices.Equal) {
			w.t.Errorf("the report is\n%v, the oracle's\n%v", got, want)
		}
	}
	wantReport()
	active.Run("systemctl", "stop", "rollcall")
	program.Eventually(w.t, "the other service answers", func() bool { return w.metrics(other)["rollcall_active"] == "1" })
	wantReport()
	defer func() {
		if w.t.Failed() {
			said, _ := w.operator.Try("tail", "-n", "20", "/root/watch.log")
			w.t.Logf("the watch says %s, and has\n%v, want\n%v", said, w.watched(), want)
		}
	}()
	program.Eventually(w.t, "the watch ends with the true state", func() bool {
		return maps.EqualFunc(w.watched(), want, slices.Equal)
	})
}
