package cluster_test

import (
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/deploy/internal/program"
)

// meter measures what clients notice of what is done to servers and services.
type meter struct {
	w         *world
	load      *load
	questions *questions
	probes    []*probe
	admin     *nats.Conn
	acked     int // before the current phase
}

func newMeter(w *world, l *load) *meter {
	w.t.Helper()
	m := &meter{w: w, load: l, questions: &questions{t: w.t, load: l}, admin: w.connect("admin", 0)}
	for i := range hosts {
		m.probes = append(m.probes, newProbe(w, m.questions, i))
	}
	m.settle()
	return m
}

// settle waits until all replicas are current, and everybody is answered.
func (m *meter) settle() {
	m.w.t.Helper()
	program.Eventually(m.w.t, "all replicas are current", func() bool {
		for _, stream := range []string{events, lease} {
			if info(m.w.t.Context(), m.admin, stream).current != len(hosts)-1 {
				return false
			}
		}
		return true
	})
	program.Eventually(m.w.t, "all are answered", func() bool {
		for _, p := range m.probes {
			if !p.hears() {
				return false
			}
		}
		return true
	})
}

// An ack, and what an answer includes, may be this late: the stream or the cluster has no leader for
// up to nine seconds after one was killed, and the service first has to notice that its consumer is
// gone.
const maxLate = 30 * time.Second

// during does something, waits until that is over, and logs what clients noticed. They may be
// without an answer for the given time at most.
func (m *meter) during(what string, bound time.Duration, do func()) {
	m.w.t.Helper()
	m.phase()
	began := time.Now()
	do()
	m.settle()
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
		silent, late := p.phase()
		s.silent, s.late = max(s.silent, silent), max(s.late, late)
	}
	return s
}
