package lease

import "time"

// simInstance is one process: it does what its contender says, as Run does.
type simInstance struct {
	s          *sim
	name       string
	c          *contender
	grant      grant
	mono, wall simClock
	delay      time.Duration // held back

	dead    bool
	paused  bool
	waiting []func()      // what happened to it while it was paused
	asked   int           // the number of its last request, or its last wait
	giveUp  func()        // its last request
	cut     time.Duration // until then all messages are lost
	spared  time.Duration // until then none is

	// unread says that the wall clock was set back, or that the monotonic clock
	// stood still, since it last read its clocks.
	unread bool
}

func (p *simInstance) String() string {
	if p == nil {
		return "nobody"
	}
	return p.name
}

func (p *simInstance) clocks() moment {
	return moment{p.mono.read(p.s.now), p.wall.read(p.s.now)}
}

// activeIn returns in which term it would answer a question now.
func (p *simInstance) activeIn() uint64 {
	if p.dead || p.paused {
		return 0
	}
	return p.grant.termAt(p.clocks())
}

// happens lets something happen to the process: now, or when it goes on.
func (p *simInstance) happens(do func()) {
	switch {
	case p.dead:
	case p.paused:
		p.waiting = append(p.waiting, do)
	default:
		do()
	}
}

// advance does what the contender says.
func (p *simInstance) advance() {
	if p.dead || p.paused {
		return
	}
	p.unread = false
	step := p.c.next(p.clocks(), p.delay)
	p.publish()
	p.asked++
	switch step.action {
	case wait:
		p.timer(step.at, p.asked, func() {})
	case read:
		p.ask(func() func() {
			e := p.s.key.last()
			if !p.s.isCalm() && p.s.chance(p.s.faults.stale) {
				e = p.s.key.stale(p.s.rng, p.s.now, 2*simTTL)
			}
			return func() { p.c.didRead(p.clocks(), e) }
		}, func() {})
	case update:
		p.ask(func() func() { return p.update(step) }, func() { p.c.failed(p.clocks()) })
	case end:
		p.s.log("%v has released", p)
		p.die()
	}
}

// update is what the server does with an update; it returns what the answer does.
func (p *simInstance) update(step step) func() {
	v := value{Instance: p.name, Renewal: step.renewal, Released: step.released, Milliseconds: p.c.ttl.Milliseconds()}
	raw, err := v.encode()
	if err != nil {
		p.s.broken("%v", err)
	}
	e, ok := p.s.key.update(p.s.now, step.revision, raw)
	p.s.log("%v writes %d at %d (released: %t): %t", p, step.renewal, step.revision, step.released, ok)
	if !ok {
		return func() { p.c.failed(p.clocks()) }
	}
	return func() { p.c.stored(p.clocks(), step, e) }
}

// publish is when others learn what the contender knows.
func (p *simInstance) publish() { p.grant = p.c.grant() }

// ask sends a request: it may be lost, its answer too, and both may take long. After a
// while it is given up.
func (p *simInstance) ask(server func() (answer func()), giveUp func()) {
	n := p.asked
	p.giveUp = giveUp
	p.timer(p.mono.read(p.s.now)+answerWithin(p.c.ttl), n, giveUp)
	if p.loses() {
		return
	}
	p.s.after(p.s.travel(), func() {
		if p.s.now < p.s.key.down {
			return
		}
		answer := server()
		if p.loses() {
			return
		}
		p.s.after(p.s.travel(), func() { p.continues(n, answer) })
	})
}

// loses reports whether the next message is lost.
func (p *simInstance) loses() bool {
	s := p.s
	switch {
	case s.isCalm() || s.now < p.spared:
		return false
	case s.now < p.cut || s.chance(s.faults.loss):
		p.spared = s.now + s.faults.spacing
		return true
	}
	return false
}

// continues continues after a request or a wait, unless that is over already.
func (p *simInstance) continues(n int, do func()) {
	p.happens(func() {
		if n != p.asked {
			return
		}
		p.unread, p.giveUp = false, func() {}
		do()
		p.publish()
		p.s.check()
		p.advance()
	})
}

// timer continues at a time of the process's monotonic clock.
func (p *simInstance) timer(at time.Duration, n int, do func()) {
	left := at - p.mono.read(p.s.now)
	if left <= 0 {
		p.s.after(0, func() { p.continues(n, do) })
		return
	}
	p.s.after(time.Duration(float64(left)/p.mono.rate)+time.Microsecond, func() { p.happens(func() { p.timer(at, n, do) }) })
}

// pause stops the process. If the machine is suspended, its monotonic clock stands
// still.
func (p *simInstance) pause(suspended bool) {
	p.s.log("%v pauses, suspended: %t", p, suspended)
	p.paused = true
	p.mono.set(p.s.now, 0, suspended)
}

// resume lets the process go on. What happened meanwhile happens now, in any order;
// questions may be asked before.
func (p *simInstance) resume() {
	if !p.paused {
		return
	}
	p.unread = p.unread || p.mono.still
	p.paused = false
	p.mono.set(p.s.now, 0, false)
	p.s.log("%v goes on", p)
	p.s.check()
	waiting := p.waiting
	p.waiting = nil
	p.s.rng.Shuffle(len(waiting), func(i, j int) { waiting[i], waiting[j] = waiting[j], waiting[i] })
	for _, do := range waiting {
		p.happens(do)
	}
}

// set sets the wall clock.
func (p *simInstance) set(by time.Duration) {
	p.s.log("%v: wall clock set by %v", p, by)
	p.wall.set(p.s.now, by, false)
	p.unread = p.unread || by < 0
}

// setRate makes both clocks run at this rate from now on.
func (p *simInstance) setRate(rate float64) {
	for _, c := range []*simClock{&p.mono, &p.wall} {
		c.set(p.s.now, 0, c.still)
		c.rate = rate
	}
}

// release is SIGTERM.
func (p *simInstance) release() {
	if p.dead || p.paused || p.c.ending {
		return
	}
	p.s.log("%v releases", p)
	p.c.release(p.clocks())
	p.unread = false
	p.publish()
	p.s.check()
	p.giveUp()
	p.advance()
}

func (p *simInstance) die() {
	p.s.log("%v is gone", p)
	p.dead = true
}
