package lease

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// simTTL is the TTL in simulations.
const simTTL = 10 * time.Second

// sim is a simulated world: a key, the instances that want it, and the true time, which
// none of them knows. Everything happens in the order of the true time.
type sim struct {
	rng       *rand.Rand
	now       time.Duration
	events    []simEvent
	key       simKey
	instances []*simInstance
	number    int // of instances so far

	faults simFaults
	calm   time.Duration // when all faults end

	newest  uint64 // the newest term
	ofTerm  string // the instance that had it
	active  *simInstance
	trouble string // the first rule that was broken
	trace   []string
}

// simFaults says what may go wrong.
type simFaults struct {
	loss, slow, stale float64 // the probability for each message
	// spacing is how long after a lost message an instance loses no other.
	spacing time.Duration
	// shorter is the probability for an instance to have a shorter TTL.
	shorter float64
	// drift is by how much clocks may be too fast or too slow.
	drift float64
}

type simEvent struct {
	at time.Duration
	do func()
}

// after schedules something.
func (s *sim) after(d time.Duration, do func()) {
	e := simEvent{s.now + max(d, 0), do}
	i, _ := slices.BinarySearchFunc(s.events, e, func(a, b simEvent) int {
		return cmp.Or(cmp.Compare(a.at, b.at), -1) // behind those of the same time
	})
	s.events = slices.Insert(s.events, i, e)
}

// run runs the world until a time, or until a rule is broken.
func (s *sim) run(until time.Duration) {
	for len(s.events) > 0 && s.events[0].at <= until && s.trouble == "" {
		e := s.events[0]
		s.events = s.events[1:]
		s.now = e.at
		e.do()
		s.check()
	}
	s.now = until
	s.check()
}

func (s *sim) log(format string, args ...any) {
	s.trace = append(s.trace, fmt.Sprintf("%7.3f ", s.now.Seconds())+fmt.Sprintf(format, args...))
}

// story returns the last of what happened.
func (s *sim) story() string {
	const most = 60
	return strings.Join(s.trace[max(0, len(s.trace)-most):], "\n")
}

func (s *sim) broken(format string, args ...any) {
	if s.trouble == "" {
		s.trouble = fmt.Sprintf("after %v: ", s.now) + fmt.Sprintf(format, args...)
	}
}

// check holds the rules against what would be answered now: one instance at most is
// active, the key is its own or nobody's, and its term is newer than any other's.
func (s *sim) check() {
	var active *simInstance
	for _, p := range s.instances {
		term := p.activeIn()
		if term == 0 {
			continue
		}
		if active != nil {
			s.broken("%s and %s are both active", active.name, p.name)
		}
		active = p
		if e := s.key.last(); e.Instance != "" && (e.Instance != p.name || e.Released) {
			s.broken("%s is active, but the key is %s's, released: %t", p.name, e.Instance, e.Released)
		}
		if term < s.newest || term == s.newest && p.name != s.ofTerm {
			s.broken("%s is active in term %d, but %s was in %d", p.name, term, s.ofTerm, s.newest)
		}
		s.newest, s.ofTerm = term, p.name
	}
	if active != s.active {
		s.log("active: %v", active)
	}
	s.active = active
}

// upTo returns a random duration.
func (s *sim) upTo(d time.Duration) time.Duration {
	return time.Duration(s.rng.Int64N(int64(max(d, 1))))
}

// chance returns true with a probability.
func (s *sim) chance(p float64) bool { return s.rng.Float64() < p }

// isCalm reports whether the faults have ended.
func (s *sim) isCalm() bool { return s.now >= s.calm }

// travel returns how long a message takes.
func (s *sim) travel() time.Duration {
	switch {
	case s.isCalm():
		return s.upTo(simTTL / 200)
	case s.chance(s.faults.slow):
		return min(s.upTo(3*simTTL), s.calm-s.now)
	case s.chance(0.3):
		return 0
	}
	return min(s.upTo(simTTL/50), s.calm-s.now)
}

// start starts an instance.
func (s *sim) start() *simInstance {
	s.number++
	p := &simInstance{s: s, name: fmt.Sprint("i", s.number), giveUp: func() {}}
	p.mono = simClock{at: s.now, reading: s.upTo(time.Hour), rate: s.rate()}
	p.wall = simClock{at: s.now, reading: s.upTo(time.Hour), rate: s.rate()}
	ttl := simTTL
	if s.chance(s.faults.shorter) {
		ttl /= 2
	}
	p.c = newContender(p.name, ttl, p.clocks())
	s.instances = append(s.instances, p)
	s.log("%v starts", p)
	p.advance()
	return p
}

// rate returns how fast a clock is.
func (s *sim) rate() float64 { return 1 + s.faults.drift*(2*s.rng.Float64()-1) }

// simClock is a clock that runs at its own speed, may stand still, and may be set.
type simClock struct {
	at, reading time.Duration
	rate        float64
	still       bool
}

func (c *simClock) read(now time.Duration) time.Duration {
	if c.still {
		return c.reading
	}
	return c.reading + time.Duration(float64(now-c.at)*c.rate)
}

// set sets the clock, and whether it stands still from now on.
func (c *simClock) set(now, by time.Duration, still bool) {
	c.reading, c.at, c.still = c.read(now)+by, now, still
}
