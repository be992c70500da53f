package faults

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// standbyLoad publishes events, asks questions all the time, and receives all that services
// publish, while faults happen to a pair of them.
type standbyLoad struct {
	t   *testing.T
	js  jetstream.JetStream
	nc  *nats.Conn
	end context.CancelFunc
	all sync.WaitGroup
	// small: only questions with small answers are asked.
	small bool

	mu        sync.Mutex
	refused   int                 // events published that must be refused
	on        map[string][]string // who is on, by machine
	floors    []uint64            // by question: the greatest place of an answer before it was asked
	answered  []int               // by question
	greatest  uint64              // place of an answer
	last      time.Time           // when the last answer arrived
	gap       time.Duration       // the longest time without one, since it was set to 0
	came      map[string]int      // by user: changes that tell of the arrival
	reports   uint64              // the place of the last report stored
	publisher string              // who stored it
	switches  int                 // how often the publisher was another one
}

const (
	loadMachines  = 10
	publishEvery  = 5 * time.Millisecond
	questionEvery = 4 * time.Millisecond
	stayFor       = 300 // how many other users come while one is on
)

// newLoad returns a load that does nothing yet.
func newLoad(t *testing.T, url string) (*standbyLoad, context.Context) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	nc := kit.Conn(t, url)
	return &standbyLoad{t: t, nc: nc, js: kit.JetStream(t, nc), end: cancel, on: map[string][]string{}, came: map[string]int{}, last: time.Now()}, ctx
}

// startAsking asks small questions, and does no more.
func startAsking(t *testing.T, url string) *standbyLoad {
	t.Helper()
	l, ctx := newLoad(t, url)
	l.small = true
	l.all.Go(func() { l.ask(ctx) })
	t.Cleanup(l.stop)
	return l
}

// startLoad starts the load.
func startLoad(t *testing.T, url string) *standbyLoad {
	t.Helper()
	l, ctx := newLoad(t, url)
	l.watchChanges()
	l.watchReports(ctx)
	l.all.Go(func() { l.publish(ctx) })
	l.all.Go(func() { l.ask(ctx) })
	t.Cleanup(l.stop)
	return l
}

// stop ends publishing and asking.
func (l *standbyLoad) stop() {
	l.end()
	l.all.Wait()
}

// publish publishes a login of a new user, and a logout of one who came some seconds ago, time
// and again; some messages are no events.
func (l *standbyLoad) publish(ctx context.Context) {
	tick := time.NewTicker(publishEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		machine, user, kind := fmt.Sprintf("m%d", n%loadMachines), fmt.Sprintf("u%d", n), "login"
		if earlier := n - 2*stayFor - 1; n%2 == 1 && earlier >= 0 {
			kind, machine, user = "logout", fmt.Sprintf("m%d", earlier%loadMachines), fmt.Sprintf("u%d", earlier)
		}
		payload := fmt.Appendf(nil, `{"date":%q,"type":%q,"machine":%q,"user":%q}`, time.Now().UTC().Format(time.RFC3339Nano), kind, machine, user)
		bad := n%50 == 0
		if bad {
			payload = []byte(`{"type":"login"}`)
		}
		if _, err := l.js.Publish(context.WithoutCancel(ctx), "rollcall.events", payload); err != nil {
			l.t.Errorf("publishing: %v", err)
			return
		}
		l.mu.Lock()
		switch {
		case bad:
			l.refused++
		case kind == "login":
			l.on[machine] = append(l.on[machine], user)
		default:
			l.on[machine] = slices.DeleteFunc(l.on[machine], func(on string) bool { return on == user })
		}
		l.mu.Unlock()
	}
}

// ask asks a question time and again, and checks each answer when it arrives: there is one
// at most, and it does not go back behind an answer that had arrived when it was asked.
func (l *standbyLoad) ask(ctx context.Context) {
	inbox := l.nc.NewInbox()
	subscription, err := l.nc.Subscribe(inbox+".*", func(m *nats.Msg) {
		if place, ok := goodAnswer(m); ok {
			var n int
			fmt.Sscan(m.Subject[len(inbox)+1:], &n)
			l.receive(n, place)
		}
	})
	if err != nil {
		l.t.Error(err)
		return
	}
	defer subscription.Unsubscribe() //nolint:errcheck // the connection ends
	tick := time.NewTicker(questionEvery)
	defer tick.Stop()
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		l.mu.Lock()
		l.floors, l.answered = append(l.floors, l.greatest), append(l.answered, 0)
		l.mu.Unlock()
		subject, question := "rollcall.query.report", []byte(nil)
		if n%2 == 0 || l.small {
			subject, question = "rollcall.query.machine", []byte(`{"machine":"m1"}`)
		}
		if err := l.nc.PublishRequest(subject, fmt.Sprintf("%s.%d", inbox, n), question); err != nil {
			l.t.Error(err)
			return
		}
	}
}

// receive checks an answer.
func (l *standbyLoad) receive(question int, place uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.answered[question]++; l.answered[question] > 1 {
		l.t.Errorf("question %d has %d answers", question, l.answered[question])
	}
	if place < l.floors[question] {
		l.t.Errorf("question %d: an answer at place %d, after one at place %d", question, place, l.floors[question])
	}
	l.greatest = max(l.greatest, place)
	now := time.Now()
	l.gap, l.last = max(l.gap, now.Sub(l.last)), now
}

// watchChanges counts the changes that tell of an arrival.
func (l *standbyLoad) watchChanges() {
	if _, err := l.nc.Subscribe("rollcall.changes.>", func(m *nats.Msg) {
		var change struct {
			Came []string `json:"came"`
		}
		if err := json.Unmarshal(m.Data, &change); err != nil {
			l.t.Errorf("change %s: %v", m.Data, err)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		for _, user := range change.Came {
			if l.came[user]++; l.came[user] > 1 {
				l.t.Errorf("%d changes tell that %s came", l.came[user], user)
			}
		}
	}); err != nil {
		l.t.Fatal(err)
	}
}

// watchReports checks the reports in the order in which they are stored: their places never
// go back. It counts how often they are of another process: a process's ids begin alike.
func (l *standbyLoad) watchReports(ctx context.Context) {
	l.t.Helper()
	consumer, err := l.js.OrderedConsumer(ctx, "ROLLCALL_REPORTS", jetstream.OrderedConsumerConfig{})
	if err != nil {
		l.t.Fatal(err)
	}
	consuming, err := consumer.Consume(func(m jetstream.Msg) {
		var report struct {
			ID    string `json:"report"`
			Place uint64 `json:"place"`
		}
		if err := json.Unmarshal(m.Data(), &report); err != nil {
			l.t.Errorf("report %s: %v", m.Data(), err)
			return
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		if report.Place < l.reports {
			l.t.Errorf("a report of place %d after one of place %d", report.Place, l.reports)
		}
		if by := report.ID[:12]; by != l.publisher {
			l.publisher = by
			l.switches++
		}
		l.reports = report.Place
	})
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Cleanup(func() {
		consuming.Stop()
		<-consuming.Closed()
	})
}

// longestGap returns the longest time without an answer since the last call.
func (l *standbyLoad) longestGap() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	gap := max(l.gap, time.Since(l.last))
	l.gap = 0
	return gap
}

// answeredAt returns when the last answer arrived.
func (l *standbyLoad) answeredAt() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// check checks, after the end, what came of all events: who is on by the report, and the
// dead letters.
func (l *standbyLoad) check(report string) {
	l.t.Helper()
	got := usersOf(report)
	for _, users := range l.on {
		slices.Sort(users)
	}
	maps.DeleteFunc(l.on, func(_ string, users []string) bool { return len(users) == 0 })
	if !maps.EqualFunc(got, l.on, slices.Equal) {
		l.t.Errorf("the report says %v, want %v", got, l.on)
	}
	letters, err := l.js.Stream(l.t.Context(), "ROLLCALL_DEADLETTERS")
	if err != nil {
		l.t.Fatal(err)
	}
	kit.Eventually(l.t, func() bool {
		info, err := letters.Info(l.t.Context())
		return err == nil && info.State.Msgs >= uint64(l.refused)
	}, fmt.Sprintf("%d dead letters are stored", l.refused))
	if stored := letters.CachedInfo().State.Msgs; stored != uint64(l.refused) {
		l.t.Errorf("%d dead letters, want %d", stored, l.refused)
	}
}

// takeovers counts how often a service became the active one.
func (p *pair) takeovers() (n int) {
	for _, process := range p.started {
		n += len(process.lines("this rollcall answers and publishes"))
	}
	return n
}
