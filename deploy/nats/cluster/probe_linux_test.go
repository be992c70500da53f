package cluster_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// askEvery is how often each probe asks.
const askEvery = 20 * time.Millisecond

// asked is the machine that the probes ask about.
const asked = "m1"

// questions are those of all probes, and what was answered.
type questions struct {
	t    *testing.T
	load *load

	mu       sync.Mutex
	greatest uint64   // the greatest sequence of an answer that has arrived
	floors   []uint64 // by question: what it was when the question was asked
	answered []int    // by question
	answers  []answer
}

// answer says who is on after the event of a sequence, or a later one.
type answer struct {
	at       time.Time
	sequence uint64
	users    string
}

// probe asks questions as a reader that was first connected to one server.
type probe struct {
	*questions
	nc *nats.Conn

	// Guarded by mu.
	last   time.Time     // when the last answer arrived
	silent time.Duration // the longest time without one
	late   time.Duration // how long before an answer the first event was acknowledged that it lacks
}

// newProbe starts one that is connected to the server of this number first. It ends with the
// test.
func newProbe(w *world, q *questions, first int) *probe {
	w.t.Helper()
	// What cannot be sent now is not sent later.
	p := &probe{questions: q, nc: w.connect("readers/reader", first, nats.ReconnectBufSize(-1)), last: time.Now()}
	inbox := p.nc.NewInbox()
	if _, err := p.nc.Subscribe(inbox+".*", func(m *nats.Msg) {
		var n int
		if _, err := fmt.Sscan(m.Subject[len(inbox)+1:], &n); err != nil {
			w.t.Errorf("an answer on %s: %v", m.Subject, err)
			return
		}
		p.receive(n, m)
	}); err != nil {
		w.t.Fatal(err)
	}
	stop := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(askEvery)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
				p.ask(inbox)
			}
		}
	})
	w.t.Cleanup(func() { close(stop); running.Wait() })
	return p
}

func (p *probe) ask(inbox string) {
	p.mu.Lock()
	n := len(p.floors)
	p.floors, p.answered = append(p.floors, p.greatest), append(p.answered, 0)
	p.mu.Unlock()
	// While there is no connection that fails, and nothing is answered.
	_ = p.nc.PublishRequest("rollcall.query.machine", fmt.Sprint(inbox, ".", n), []byte(`{"machine":"`+asked+`"}`))
}

// receive checks an answer: there is one at most to a question, and it does not go back behind
// one that any probe had when it asked.
func (p *probe) receive(question int, m *nats.Msg) {
	if m.Header.Get("Nats-Service-Error-Code") != "" || m.Header.Get("Status") != "" {
		return
	}
	var said struct {
		Sequence uint64
		Sessions []struct{ User string }
	}
	if err := json.Unmarshal(m.Data, &said); err != nil {
		p.t.Errorf("question %d: %v", question, err)
		return
	}
	users := make([]string, len(said.Sessions))
	for i, s := range said.Sessions {
		users[i] = s.User
	}
	slices.Sort(users)
	acked := p.load.ackedAt(said.Sequence + 1)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.answered[question]++; p.answered[question] > 1 {
		p.t.Errorf("question %d has %d answers", question, p.answered[question])
	}
	if said.Sequence < p.floors[question] {
		p.t.Errorf("question %d: an answer after event %d, asked when one after event %d had arrived", question, said.Sequence, p.floors[question])
	}
	p.greatest = max(p.greatest, said.Sequence)
	p.answers = append(p.answers, answer{time.Now(), said.Sequence, strings.Join(users, " ")})
	now := time.Now()
	p.silent, p.last = max(p.silent, now.Sub(p.last)), now
	if !acked.IsZero() {
		p.late = max(p.late, now.Sub(acked))
	}
}

// phase returns the longest time without an answer since the last call, and how late answers
// were at most.
func (p *probe) phase() (silent, late time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	silent, late = max(p.silent, time.Since(p.last)), p.late
	p.silent, p.late = 0, 0
	return silent, late
}

// hears reports whether the probe gets answers.
func (p *probe) hears() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return time.Since(p.last) < 10*askEvery
}

// wantTrue wants each answer to say what the events up to its sequence say, or up to a later one
// that was published before the answer arrived. So no two answers contradict each other, whoever
// has given them.
func (q *questions) wantTrue(stored []event) {
	q.t.Helper()
	q.mu.Lock()
	defer q.mu.Unlock()
	slices.SortFunc(q.answers, func(a, b answer) int { return int(a.sequence) - int(b.sequence) })
	f, n, wrong := fold{}, 0, 0
	for _, a := range q.answers {
		for ; n < int(a.sequence); n++ {
			f.add(stored[n])
		}
		if !a.isTrue(f, stored[n:]) {
			if wrong++; wrong <= 5 {
				q.t.Errorf("an answer after event %d: %s; the events say %s", a.sequence, a.users, f.users(asked))
			}
		}
	}
	q.t.Logf("%d questions, %d answers, %d wrong", len(q.floors), len(q.answers), wrong)
}

// isTrue reports whether the answer is what f says, or what it says after some more events.
func (a *answer) isTrue(f fold, more []event) bool {
	f = fold{asked: maps.Clone(f[asked])}
	for n := 0; strings.Join(f.users(asked), " ") != a.users; n++ {
		if n == len(more) || more[n].Date.After(a.at) {
			return false
		}
		if more[n].Machine == asked {
			f.add(more[n])
		}
	}
	return true
}
