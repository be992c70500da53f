package lease

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

var (
	runs = flag.Int("lease.runs", kit.Length(300, 600), "how many schedules each simulation tries")
	seed = flag.Uint64("lease.seed", 0, "seed of the first schedule; 0: another one each time")
)

// simulate runs a simulation once for each schedule.
func simulate(t *testing.T, run func(s *sim)) {
	t.Helper()
	first := *seed
	if first == 0 {
		first = rand.Uint64N(1 << 40)
	}
	for i := range uint64(*runs) {
		s := &sim{rng: rand.New(rand.NewPCG(first+i, 0))}
		run(s)
		if s.trouble != "" {
			t.Fatalf("-lease.seed %d -lease.runs 1: %s\n%s", first+i, s.trouble, s.story())
		}
	}
	t.Logf("%d schedules from seed %d", *runs, first)
}

// TestSimulation: whatever happens, never are two instances active, and none is after
// another has taken the lease; once the faults end one is active in time, and stays.
func TestSimulation(t *testing.T) { simulate(t, simulateFaults) }

// simBound is how long nobody may be active once the faults have ended, by clocks that
// may be too slow.
const simBound = (simTTL + simTTL/4 + simTTL/10) * 101 / 100

func simulateFaults(s *sim) {
	s.calm = 20*simTTL + s.upTo(simTTL)
	s.faults = simFaults{loss: s.oneOf(0, 0.02, 0.2), slow: s.oneOf(0, 0.02, 0.2), stale: s.oneOf(0, 0, 0.2), shorter: s.oneOf(0, 0.3), drift: 0.01}
	for range 2 + s.rng.IntN(2) {
		s.start()
	}
	s.plan()
	s.run(s.calm)
	s.endFaults()
	s.run(s.now + simBound)
	if s.active == nil {
		s.broken("nobody is active %v after the faults ended", simBound)
	}
	s.staysActive(3 * simTTL)
	s.handsOver()
}

// oneOf returns one of some numbers.
func (s *sim) oneOf(numbers ...float64) float64 { return numbers[s.rng.IntN(len(numbers))] }

// plan schedules faults until it is calm. Each world has some kinds of faults only.
func (s *sim) plan() {
	kinds := []func(*simInstance){
		s.stop, s.stop, s.suspend, s.suspend, s.cut, s.cut, s.setClock, s.setClock,
		s.crash, s.terminate, s.restartServer, s.holdBack,
	}
	if s.faults.shorter == 0 { // nobody knows the TTL of a holder whose value is gone
		kinds = append(kinds, s.deleteKey, s.spoilKey)
	}
	s.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	kinds = kinds[:1+s.rng.IntN(len(kinds))]
	mean := simTTL/20 + s.upTo(simTTL)
	var next func()
	next = func() {
		if s.isCalm() {
			return
		}
		// The one that is active is the most interesting.
		if p := s.active; p != nil && s.chance(0.5) {
			kinds[s.rng.IntN(len(kinds))](p)
		} else if p := s.instances[s.rng.IntN(len(s.instances))]; !p.dead {
			kinds[s.rng.IntN(len(kinds))](p)
		}
		s.after(s.upTo(2*mean), next)
	}
	s.after(s.upTo(2*simTTL), next)
}

func (s *sim) stop(p *simInstance) { s.pause(p, false) }

// suspend suspends the machine, unless its wall clock was set back since the process
// last read it: then nothing tells that time has passed.
func (s *sim) suspend(p *simInstance) {
	if !p.unread {
		s.pause(p, true)
	}
}

func (s *sim) pause(p *simInstance, suspended bool) {
	if !p.paused {
		p.pause(suspended)
		s.after(min(s.upTo(3*simTTL), s.calm-s.now), p.resume)
	}
}

func (s *sim) cut(p *simInstance) {
	s.log("%v is cut off", p)
	p.cut = s.now + s.upTo(2*simTTL)
}

func (s *sim) setClock(p *simInstance) {
	by := s.upTo(6*simTTL) - 3*simTTL
	if by < 0 && (p.unread || p.mono.still) {
		by = -by
	}
	p.set(by)
}

func (s *sim) crash(p *simInstance) {
	p.die()
	s.after(min(s.upTo(2*simTTL), s.calm-s.now), func() { s.start() })
}

func (s *sim) terminate(p *simInstance) {
	p.release()
	s.after(min(s.upTo(2*simTTL), s.calm-s.now), func() { s.start() })
}

func (s *sim) restartServer(*simInstance) {
	s.log("the server is down")
	s.key.down = min(s.now+s.upTo(simTTL), s.calm)
}

// deleteKey deletes the key. Without a marker it does so rarely: a key that vanishes
// twice cannot be told from one that stayed away.
func (s *sim) deleteKey(*simInstance) {
	if s.chance(0.5) && s.now-s.key.wiped > 10*simTTL {
		s.log("the key vanishes")
		s.key.wipe(s.now)
		return
	}
	s.log("the key is deleted")
	s.key.put(s.now, nil)
}

func (s *sim) spoilKey(*simInstance) {
	s.log("the key is overwritten")
	s.key.put(s.now, []byte("hostile"))
}

func (s *sim) holdBack(p *simInstance) {
	p.delay = Forever
	s.after(min(s.upTo(3*simTTL), s.calm-s.now), func() { p.delay = 0 })
}

// endFaults ends all faults. One instance at least may take the lease.
func (s *sim) endFaults() {
	s.log("the faults end")
	ready := 0
	for _, p := range s.instances {
		p.resume()
		p.delay, p.cut = 0, 0
		if !p.dead && !p.c.ending {
			ready++
		}
	}
	if ready == 0 {
		s.start()
	}
}

// staysActive requires that the active one stays so.
func (s *sim) staysActive(d time.Duration) {
	first := s.active
	for end := s.now + d; s.now < end && s.trouble == ""; {
		s.run(s.now + simTTL/50)
		if s.active != first {
			s.broken("%v was active, now %v is", first, s.active)
		}
	}
}

// handsOver requires that another instance is active soon after the active one ends.
func (s *sim) handsOver() {
	if s.trouble != "" {
		return
	}
	s.start()
	s.run(s.now + simTTL/4)
	s.active.release()
	s.run(s.now + simTTL/10 + simTTL/20)
	if s.active == nil {
		s.broken("nobody is active soon after the lease was released")
	}
}

// TestLostAnswers: messages lost now and then, requests or answers, cost nobody the
// lease.
func TestLostAnswers(t *testing.T) {
	simulate(t, func(s *sim) {
		s.calm = time.Hour
		s.faults = simFaults{loss: s.oneOf(0.1, 0.3, 0.5), spacing: simTTL / 2, drift: 0.01}
		for range 2 + s.rng.IntN(2) {
			s.start()
		}
		s.run(2 * simTTL)
		if s.active == nil {
			s.broken("nobody is active")
		}
		s.staysActive(30 * simTTL)
	})
}

// TestDrift: of two instances the slower one holds the lease and is cut off; the faster one
// does not take it too early.
func TestDrift(t *testing.T) {
	simulate(t, func(s *sim) {
		s.calm = time.Hour
		holder := s.start()
		holder.setRate(0.99)
		s.run(2 * simTTL)
		s.start().setRate(1.01)
		s.run(s.now + s.upTo(simTTL))
		holder.cut = time.Hour
		s.run(s.now + 3*simTTL)
	})
}
