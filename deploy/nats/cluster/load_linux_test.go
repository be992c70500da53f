package cluster_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/deploy/internal/program"
)

// The load: this many machines, each of which has this many users, publish together this many
// events a second.
const (
	machines = 20
	users    = 10
	rate     = 1000
)

// inFlight is how many events of a machine may wait for their acks, and ackWithin how long one
// waits until it is sent again. If more were sent again sooner, they would be a load of their own
// that keeps a busy cluster from acknowledging anything.
const (
	inFlight  = 50
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

// fold is the oracle: who is on, after the acknowledged events in the order of their dates.
func (l *load) fold() map[string][]string {
	l.mu.Lock()
	defer l.mu.Unlock()
	events := slices.Clone(l.acked)
	sort.SliceStable(events, func(i, j int) bool { return events[i].Date.Before(events[j].Date) })
	on := map[string]map[string]bool{}
	for _, e := range events {
		if on[e.Machine] == nil {
			on[e.Machine] = map[string]bool{}
		}
		if e.Type == "login" {
			on[e.Machine][e.User] = true
		} else {
			delete(on[e.Machine], e.User)
		}
	}
	all := map[string][]string{}
	for machine, users := range on {
		if len(users) > 0 {
			all[machine] = slices.Sorted(maps.Keys(users))
		}
	}
	return all
}

// wantStored wants every acknowledged event in the stream, at the place that its ack named.
func (l *load) wantStored(admin *nats.Conn, last uint64) {
	l.t.Helper()
	js, err := admin.JetStream()
	if err != nil {
		l.t.Fatal(err)
	}
	sub, err := js.SubscribeSync("rollcall.events.>", nats.OrderedConsumer())
	if err != nil {
		l.t.Fatal(err)
	}
	stored := map[uint64]string{}
	for seq := uint64(0); seq < last; {
		msg, err := sub.NextMsg(20 * time.Second)
		if err != nil {
			l.t.Fatalf("reading the stream after %d of %d: %v", seq, last, err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			l.t.Fatal(err)
		}
		var e event
		if err := json.Unmarshal(msg.Data, &e); err != nil {
			l.t.Fatal(err)
		}
		seq = meta.Sequence.Stream
		stored[seq] = e.Note
	}
	missing := 0
	for seq, note := range l.note {
		if stored[seq] != note {
			missing++
		}
	}
	if missing > 0 || len(l.note) != len(l.acked) {
		l.t.Errorf("of %d acknowledged events, with %d sequences, %d are missing", len(l.acked), len(l.note), missing)
	}
}

// wantRoster wants the service to have read everything, and the report and the watch to end with
// what the oracle says.
func (l *load) wantRoster(w *world, last uint64) {
	w.t.Helper()
	program.Eventually(w.t, "the service has read everything", func() bool { return w.metric("rollcall_position") == fmt.Sprint(last) })
	for name, want := range map[string]string{
		`rollcall_fates{fate="lost"}`: "0", `rollcall_fates{fate="dead_lettered"}`: "0", "rollcall_complete": "1",
		`rollcall_incarnations_total{kind="recreated"}`: "0", `rollcall_incarnations_total{kind="restored"}`: "0",
	} {
		if got := w.metric(name); got != want {
			w.t.Errorf("%s is %s, want %s", name, got, want)
		}
	}
	want, got := l.fold(), map[string][]string{}
	out := w.run("set -a; . enrolled/readers/reader/nats.env; rollcall report --output text 2>/dev/null")
	for line := range strings.Lines(out) {
		if machine, users, found := strings.Cut(strings.TrimSpace(line), ": "); found {
			got[machine] = strings.Split(users, ", ")
		}
	}
	if !maps.EqualFunc(got, want, slices.Equal) {
		w.t.Errorf("the report is\n%v, the oracle's\n%v", got, want)
	}
	var watched map[string][]string
	program.Eventually(w.t, "the watch ends with the true state", func() bool {
		watched = map[string][]string{}
		for line := range strings.Lines(w.operator.Run("cat", "/root/watch.jsonl")) {
			var d struct {
				Machine string
				Users   []string
			}
			if json.Unmarshal([]byte(line), &d) != nil {
				return false // half a line
			}
			watched[d.Machine] = d.Users
			if len(d.Users) == 0 {
				delete(watched, d.Machine)
			}
		}
		return maps.EqualFunc(watched, want, slices.Equal)
	})
}
