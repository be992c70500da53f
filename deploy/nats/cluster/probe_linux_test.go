package cluster_test

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/deploy/internal/program"
)

// meter measures what clients notice of what is done to the servers.
type meter struct {
	w      *world
	load   *load
	probes []*probe
	admin  *nats.Conn
	acked  int // before the current phase
}

func newMeter(w *world, l *load) *meter {
	w.t.Helper()
	m := &meter{w: w, load: l, admin: w.connect("admin", 0)}
	for i := range hosts {
		m.probes = append(m.probes, newProbe(w, i))
	}
	return m
}

// An ack, and what an answer includes, may be this late: the stream or the cluster has no leader for
// up to nine seconds after one was killed, and the service first has to notice that its consumer is
// gone.
const maxLate = 30 * time.Second

// during does something, waits until all replicas are current, and logs what clients noticed. They
// may be without an answer for the given time at most.
func (m *meter) during(what string, bound time.Duration, do func()) {
	m.w.t.Helper()
	m.phase()
	began := time.Now()
	do()
	program.Eventually(m.w.t, "all replicas are current", func() bool { return info(m.w.t.Context(), m.admin).current == len(hosts)-1 })
	took := time.Since(began)
	s := m.phase()
	m.w.t.Logf("%s: %.0f s, %.0f events/s; without an answer for at most %v, answers at most %v late; %d events sent again, an ack took at most %v",
		what, took.Seconds(), float64(s.acked)/took.Seconds(), s.silent.Round(time.Millisecond), s.late.Round(time.Millisecond), s.repeats, s.slowest.Round(time.Millisecond))
	if s.silent > bound || s.late > maxLate+bound || s.slowest > maxLate+bound {
		m.w.t.Errorf("%s: nobody may be without an answer for more than %v; acks and answers may be at most %v late", what, bound, maxLate+bound)
	}
}

// seen is what clients noticed.
type seen struct {
	acked, repeats        int
	silent, late, slowest time.Duration
}

// phase returns what they noticed since the last call.
func (m *meter) phase() (s seen) {
	s.acked, s.repeats, s.slowest = m.load.phase(&m.acked)
	for _, p := range m.probes {
		silent, late := p.phase(m.load)
		s.silent, s.late = max(s.silent, silent), max(s.late, late)
	}
	return s
}

// probe asks a question every 20 ms, as a reader that was first connected to one server.
type probe struct {
	mu      sync.Mutex
	began   time.Time
	answers []answer // since began, in the order of their arrival
}

type answer struct {
	at       time.Time
	sequence uint64 // of the last message that it includes
}

const (
	askEvery = 20 * time.Millisecond
	// askWithin is how long one question waits; the next ones are asked meanwhile.
	askWithin = 2 * time.Second
)

// newProbe starts one that is connected to the server of this number first. It ends with the test.
func newProbe(w *world, first int) *probe {
	w.t.Helper()
	nc := w.connect("readers/reader", first)
	p := &probe{began: time.Now()}
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
				running.Go(func() { p.ask(nc) })
			}
		}
	})
	w.t.Cleanup(func() { close(stop); running.Wait() })
	return p
}

func (p *probe) ask(nc *nats.Conn) {
	msg, err := nc.Request("rollcall.query.machine", []byte(`{"machine":"m1"}`), askWithin)
	if err != nil || msg.Header.Get("Nats-Service-Error-Code") != "" {
		return
	}
	var head struct{ Sequence uint64 }
	if json.Unmarshal(msg.Data, &head) != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answers = append(p.answers, answer{time.Now(), head.Sequence})
}

// phase returns the longest time without an answer since the last call, and how late answers were
// at most: how long before one of them the first event was acknowledged that it lacks.
func (p *probe) phase(l *load) (silent, late time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p.mu.Lock()
	defer p.mu.Unlock()
	last := p.began
	for _, a := range p.answers {
		silent = max(silent, a.at.Sub(last))
		last = a.at
		if acked, is := l.at[a.sequence+1]; is {
			late = max(late, a.at.Sub(acked))
		}
	}
	p.began, p.answers = time.Now(), nil
	return max(silent, p.began.Sub(last)), late
}
