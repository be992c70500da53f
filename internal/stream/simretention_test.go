package stream

import (
	"math/rand/v2"
	"time"

	"rollcall/internal/roster"
)

// retention is the rate at which messages are stored, and the limit by which the
// simulated stream removes its oldest.
type retention struct {
	count uint64        // how many messages it keeps; 0: all
	age   time.Duration // how long it keeps one; 0: forever
	every time.Duration // how often messages are stored
}

// newRetention draws a limit: a short or a long age, or few or many messages.
func newRetention(rng *rand.Rand) *retention {
	r := &retention{every: time.Duration(20+rng.IntN(1000)) * time.Millisecond}
	if rng.IntN(2) == 0 {
		r.count = 1 + rng.Uint64N([]uint64{3, 30, 300}[rng.IntN(3)])
	} else {
		r.age = time.Duration(100+rng.IntN([]int{1_000, 10_000, 60_000}[rng.IntN(3)])) * time.Millisecond
	}
	return r
}

// advance lets time pass. In a world with retention, messages are stored and
// removed meanwhile.
func (w *world) advance(d time.Duration) {
	for step := d; d > 0; d -= step {
		if w.retention != nil && !w.quiet {
			step = min(d, w.retention.every)
		}
		<-time.After(step)
		if w.retention != nil && !w.quiet {
			w.locked(w.flow)
		}
	}
}

// flow stores some messages and removes the oldest.
func (w *world) flow() {
	if w.stream == nil {
		return
	}
	for range 1 + w.rng.IntN(3) {
		w.storeOne()
	}
	w.recordState()
	w.trim()
}

func (w *world) trim() {
	l, r := w.stream, w.retention
	first := l.first
	if r.count > 0 && l.last > r.count {
		first = max(first, l.last-r.count+1)
	}
	for m := l.messages[first]; r.age > 0 && first <= l.last && (m == nil || time.Since(m.receipt.Time()) > r.age); m = l.messages[first] {
		first++
	}
	if first > l.first {
		w.count("retention removes messages")
		w.service.delivery.bufferSent()
		l.setFirst(first)
		w.removed = time.Now()
	}
}

// bufferSent buffers what the server has sent by now: it pushes what was requested,
// and the client keeps it even if it leaves the stream.
func (d *simDelivery) bufferSent() {
	if d == nil || d.stream != d.w.stream || d.dead || !d.polled || d.fault.kind != faultNothing || d.w.wedged || d.reconnects != d.service.reconnects {
		return
	}
	for ; d.nextSeq <= d.stream.last && len(d.buffered) < pullMessages; d.nextSeq++ {
		if d.stream.delivers(d.nextSeq) {
			d.buffered = append(d.buffered, d.stream.messages[d.nextSeq].message())
		} else {
			d.countSkipped()
		}
	}
}

// deliverBuffered appends buffered messages, up to a batch.
func (d *simDelivery) deliverBuffered(dst []Message) []Message {
	n := min(len(d.buffered), maxBatch)
	dst, d.buffered = append(dst, d.buffered[:n]...), d.buffered[n:]
	return dst
}

// pinned is what the stream had when a process's first consumer delivered: it must not
// be lost to retention.
type pinned struct {
	incarnation int
	first, last uint64
	when        time.Time
	exempt      bool // a fault may keep the reader from reading all of it
}

// recordPinned records what the stream has when the first consumer delivers.
func (s *service) recordPinned(d *simDelivery, first uint64) {
	w, l := s.w, d.stream
	p := &pinned{incarnation: l.id, first: first, last: l.last, when: time.Now()}
	p.exempt = d.fault.kind != faultNothing || len(w.consumers) > 0 || w.wedged || w.oddInfo || w.oddGet || time.Now().Before(w.outageUntil)
	p.exempt = p.exempt || s.incarnation != 0 && s.incarnation != l.id || time.Since(w.changed) < detectWithin
	for seq := first; seq <= l.last; seq++ {
		p.exempt = p.exempt || !l.delivers(seq)
	}
	s.pinned = p
}

// checkPinned checks that nothing is lost to retention that the stream had when the
// first consumer delivered, unless there was a fault since.
func (s *service) checkPinned(why roster.Loss, through uint64) {
	p, w := s.pinned, s.w
	if w.retention == nil || p == nil || p.exempt || w.stream == nil || p.incarnation != w.stream.id || s.incarnation != p.incarnation || !p.when.After(w.lastFault) {
		return
	}
	w.count("nothing of the first consumer's messages is lost")
	if through >= p.first && (why == roster.BaselineLost || why == roster.Truncated) {
		w.fail("lost up to %d, but the first consumer had %d to %d", through, p.first, p.last)
	}
}

// checkCaughtUp checks that the last loss did not make the reader caught up while
// there was more to read.
func (s *service) checkCaughtUp() {
	if s.losing && s.reader.CaughtUp() {
		s.w.fail("caught up at %d by a loss, but the stream had more", s.at.Sequence())
	}
	s.losing = false
}

// recordLosing records whether a loss must not make the reader caught up.
func (s *service) recordLosing(through uint64) {
	if s.reader.CaughtUp() || s.w.stream == nil || s.incarnation != s.w.stream.id {
		return
	}
	for seq := through + 1; seq <= s.w.stream.last; seq++ {
		if m := s.w.stream.messages[seq]; m != nil && s.w.stream.delivers(seq) {
			s.losing = time.Since(m.receipt.Time()) > 10*time.Second
			return
		}
	}
}

// disruption is what happens to a reader while retention removes messages.
type disruption struct {
	name string
	do   func(w *world)
}

var disruptions = []disruption{
	{"restart", func(w *world) { w.restart(false) }},
	{"restart after a while", func(w *world) { w.crash(); w.advance(20 * time.Second); w.start() }},
	{"restart without snapshots", func(w *world) {
		w.crash()
		w.disk.files = nil
		w.advance(time.Second)
		w.start()
	}},
	{"an outage", func(w *world) { w.locked(w.startOutage); w.advance(9 * time.Second) }},
	{"a reconnect", underLock(func(w *world) { w.service.reconnects++ })},
	{"gaps", func(w *world) {
		for range 5 {
			w.locked(func() { w.flawNewest(w.stream.gone) })
			w.advance(500 * time.Millisecond)
		}
	}},
	{"hidden messages", func(w *world) {
		for range 5 {
			w.locked(func() { w.flawNewest(w.stream.hidden) })
			w.advance(500 * time.Millisecond)
		}
	}},
	{"deleted messages", func(w *world) {
		for range 5 {
			w.locked(func() {
				w.storeOne()
				w.stream.remove(w.stream.last)
				w.storeOne()
			})
			w.advance(500 * time.Millisecond)
		}
	}},
	{"a purge", underLock(func(w *world) { w.stream.setFirst(w.stream.last + 1); w.removed = time.Now() })},
	{"a consumer that ends", underLock(func(w *world) { w.service.delivery.dead = true; w.stream.notify() })},
	{"a consumer that stalls", underLock(func(w *world) { w.service.delivery.fault = consumerFault{faultStall, 0} })},
}

// flawNewest stores a message that is gone or hidden, and one after it.
func (w *world) flawNewest(how map[uint64]bool) {
	how[w.stream.last+1] = true
	w.storeOne()
	w.storeOne()
}

// How long a reader may take to reach the end of the stream: after all the ops before,
// and after one disruption.
const (
	reachEndFirst = 100 * time.Second
	reachEndAgain = 35 * time.Second
)

// keepUp checks that the reader soon reaches the end of a stream with retention,
// whatever happens to it.
func (w *world) keepUp() {
	w.awaitEnd("the ops before", reachEndFirst)
	for range 5 {
		d := disruptions[w.rng.IntN(len(disruptions))]
		if w.problem != "" {
			return
		}
		w.locked(func() { w.lastFault = time.Now(); w.logf("disruption: %s", d.name); w.count("disruption: " + d.name) })
		d.do(w)
		w.awaitEnd(d.name, reachEndAgain)
	}
}

// awaitEnd waits until the reader has read everything stored until a moment ago.
func (w *world) awaitEnd(after string, within time.Duration) {
	for began := time.Now(); w.problem == ""; {
		w.advance(100 * time.Millisecond)
		var reached bool
		w.locked(func() {
			s := w.service
			reached = w.stream != nil && s.incarnation == w.stream.id && s.reader.CaughtUp() && s.at.Sequence() >= w.lastBefore(300*time.Millisecond)
			if !reached && time.Since(began) > within {
				w.fail("after %s the reader has not reached the end for %v: at %d of %d to %d, caught up %v", after, within,
					s.at.Sequence(), w.stream.first, w.stream.last, s.reader.CaughtUp())
			}
		})
		if reached {
			return
		}
	}
}

// lastBefore returns the last sequence that the stream had a while ago.
func (w *world) lastBefore(ago time.Duration) uint64 {
	for i := len(w.states) - 1; i >= 0; i-- {
		if p := w.states[i]; time.Since(p.when) >= ago {
			return min(p.last, w.stream.last)
		}
	}
	return 0
}
