package lease

import (
	"cmp"
	"time"
)

// The times of the rules, as parts of the TTL. Patience is above 1: the clocks of two
// machines may differ by a few percent in speed.
//
//guard:set `ttl / 4` ttl "a lease is renewed in time" ^TestSimulation$
func renewEvery(ttl time.Duration) time.Duration { return ttl / 4 }

//guard:set `ttl / 10` ttl "a lease that ended is taken in time" ^TestSimulation$
func readEvery(ttl time.Duration) time.Duration { return ttl / 10 }

// answerWithin is how long to wait for an answer: the holder must have time for several
// attempts.
func answerWithin(ttl time.Duration) time.Duration { return ttl / 5 }

//guard:set `ttl + ttl/20` ttl "clocks may differ in speed" ^TestDrift$
func patience(ttl time.Duration) time.Duration { return ttl + ttl/20 }

// contender holds the rules of the lease for one instance, without a clock, a goroutine
// or a connection of its own: it is given the time and the answers, and says what to do
// next. Ask next, do what it says, report how it went, and ask again.
//
// A contender is the holder while the key holds a value of its own; else it is a standby.
type contender struct {
	instance string
	ttl      time.Duration

	// age counts from the first reading of the clocks, by whichever of them advanced
	// more from one reading to the next. The holder measures by it how old its lease
	// is; look is the last reading.
	age  time.Duration
	look moment

	key    entry  // as it was read last, or written
	since  moment // when it was first seen so
	known  bool   // it was
	unsure bool   // it must be read before anything else

	// Of the holder: the revision with which it took the lease, and the age at the
	// sending of the renewal that the key holds. Of a standby term is 0.
	term    uint64
	renewed time.Duration

	renewal   uint64             // the number of the last attempt to write
	sent      map[uint64]sending // by renewal: those of the last TTL
	inDoubt   bool               // an attempt may be stored without our knowing
	readDue   time.Duration      // when to read next, on the monotonic clock
	updateDue time.Duration      // before that, no attempt to write

	ending bool // it releases the lease
	ended  bool // and has
}

// sending is an attempt to write.
type sending struct {
	age  time.Duration // when it was sent
	term uint64        // the term that it renews; 0: a term begins with it
}

// newContender returns a standby that knows nothing of the key.
func newContender(instance string, ttl time.Duration, now moment) *contender {
	return &contender{
		instance: instance, ttl: ttl, look: now,
		sent: make(map[uint64]sending), readDue: now.mono,
		//guard:drop "who has read nothing takes nothing" ^TestSimulation$
		unsure: true,
	}
}

// action is what a contender wants done.
type action int

const (
	wait   action = iota // until step.at, or until something happens
	read                 // read the key, and call didRead if it answers
	update               // write the key, and call stored or failed
	end                  // nothing any more
)

// step is what to do next.
type step struct {
	action
	at       time.Duration // wait: until when, on the monotonic clock
	revision uint64        // update: the key must be at this revision
	renewal  uint64        // update: its number
	released bool          // update: the lease is released with it
}

// next returns what to do now. A standby takes the lease later than it might, by delay.
// The caller sends the request after this moment, not before.
func (c *contender) next(now moment, delay time.Duration) step {
	c.observe(now)
	switch {
	case c.ending:
		return c.writeRelease(now)
	case c.unsure:
		return c.readOrWait(now, c.readDue)
	case c.holds():
		return c.renew(now)
	}
	return c.standBy(now, delay)
}

// holds reports whether the instance is the holder.
func (c *contender) holds() bool { return c.term != 0 }

// observe adds the time since the last reading of the clocks.
func (c *contender) observe(now moment) {
	c.age += now.since(c.look)
	c.look = now
}

// renew renews the lease each quarter of the TTL, by age: a lease that ended while the
// process was paused is renewed at once. The clocks are read more often than that.
func (c *contender) renew(now moment) step {
	due := max(c.updateDue, now.mono+c.renewed+renewEvery(c.ttl)-c.age)
	if now.mono < due {
		return step{action: wait, at: min(due, now.mono+readEvery(c.ttl))}
	}
	return c.update(now)
}

// standBy takes the lease once the key has stood still for long enough, on this
// instance's own monotonic clock; until then it reads the key.
func (c *contender) standBy(now moment, delay time.Duration) step {
	//guard:set "now.mono - c.since.mono" "now.wall - c.since.wall" "a standby does not trust a wall clock" ^TestSimulation$
	still := now.mono - c.since.mono
	//guard:set "max(c.ttl, c.key.ttl())" c.ttl "a holder may have a longer TTL" ^TestSimulation$
	need := patience(max(c.ttl, c.key.ttl()))
	//guard:false "a released lease is taken at once" ^TestSimulation$
	if c.key.Released {
		need = 0
	}
	//guard:drop "a standby can be held back" TestHoldBack
	need += min(max(delay, 0), Forever)
	takeDue := max(c.updateDue, now.mono+need-still)
	if now.mono >= takeDue {
		return c.update(now)
	}
	return c.readOrWait(now, takeDue)
}

// writeRelease writes that the lease is free, if it is this instance's or may be.
func (c *contender) writeRelease(now moment) step {
	switch {
	case c.ended:
	case c.holds() && !c.unsure:
		if now.mono < c.updateDue {
			return step{action: wait, at: c.updateDue}
		}
		s := c.update(now)
		s.released = true
		return s
	//guard:false "a lease whose taking was not answered is released" TestReleaseInDoubt
	case c.inDoubt:
		return c.readOrWait(now, c.readDue)
	}
	return step{action: end}
}

// readOrWait returns the next read, or a wait until it is due or until then.
func (c *contender) readOrWait(now moment, then time.Duration) step {
	if now.mono < c.readDue {
		return step{action: wait, at: min(c.readDue, then)}
	}
	c.readDue = now.mono + readEvery(c.ttl)
	return step{action: read}
}

// update returns the next attempt to write, and remembers when it was sent.
func (c *contender) update(now moment) step {
	for renewal, earlier := range c.sent {
		if c.age-earlier.age >= c.ttl {
			delete(c.sent, renewal)
		}
	}
	c.renewal++
	c.sent[c.renewal] = sending{c.age, c.term}
	c.inDoubt = true
	c.updateDue = now.mono + readEvery(c.ttl)
	return step{action: update, revision: c.key.revision, renewal: c.renewal}
}

// didRead reports what the key holds. A renewal of one's own that is found there counts
// from when it was sent: that may be long ago.
func (c *contender) didRead(now moment, e entry) {
	c.observe(now)
	//guard:drop e.same "a lease that is renewed is not taken" ^TestSimulation$
	if !c.known || !e.same(&c.key) {
		c.since, c.updateDue = now, now.mono
	}
	c.key, c.known, c.unsure, c.inDoubt = e, true, false, false
	//guard:false "a renewal that was stored without an answer counts" ^TestLostAnswers$
	if e.Instance == c.instance && !e.Released {
		c.adopt(e.revision, e.Renewal)
		return
	}
	//guard:drop "an instance that finds another holder is not active" TestTakenFrom
	c.term = 0
}

// stored reports that an update is stored, and its revision.
func (c *contender) stored(now moment, s step, e entry) {
	c.observe(now)
	c.key, c.since = e, now
	c.unsure, c.inDoubt = false, false
	if s.released {
		c.term, c.ended = 0, true
		return
	}
	c.adopt(e.revision, s.renewal)
}

// failed reports that an update was refused, as the key is at another revision, or was not
// answered. This one or one before may be stored, so the key is read.
func (c *contender) failed(now moment) {
	c.observe(now)
	//guard:drop "an update without an answer may be stored" ^TestLostAnswers$
	c.unsure, c.readDue = true, now.mono
}

// adopt records that the key holds, at a revision, a renewal of this instance. If that was
// sent a TTL ago or more, the instance is not active, but may renew the lease at once.
func (c *contender) adopt(revision, renewal uint64) {
	sent, known := c.sent[renewal]
	if !known {
		sent.age = c.age - c.ttl
	}
	//guard:set sent.age c.age "a renewal counts from its sending" ^TestSimulation$
	c.renewed = sent.age
	//guard:set "cmp.Or(sent.term, revision)" revision "a renewal begins no term" TestTerms
	c.term = cmp.Or(sent.term, revision)
}

// release ends this instance's part: it is not active from now on, and next releases the
// lease.
func (c *contender) release(now moment) {
	c.observe(now)
	c.ending, c.readDue, c.updateDue = true, now.mono, now.mono
}

// grant returns in which term the instance is active, and for how long.
func (c *contender) grant() grant {
	//guard:false "nothing revives a lease that is released" ^TestSimulation$
	if c.ending {
		return grant{}
	}
	return grant{term: c.term, at: c.look, left: c.renewed + c.ttl - c.age}
}

// grant is a lease as it was at one moment. The zero grant is none.
type grant struct {
	term uint64
	at   moment
	left time.Duration
}

// termAt returns the term, or 0 if the lease has ended by now.
func (g *grant) termAt(now moment) uint64 {
	//guard:false "a lease ends" ^TestSimulation$
	if now.since(g.at) >= g.left {
		return 0
	}
	return g.term
}
