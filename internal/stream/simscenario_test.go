package stream

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// TestEndCutOffBeforePosition: the stream is cut off after the last message read,
// but before the position, which losses have moved further. Messages stored there
// again are read.
func TestEndCutOffBeforePosition(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.stream.remove(9)
		p.stream.remove(10)
		p.start()
		p.awaitSequence(10)
		p.saveSnapshot()
		p.crash()
		p.fork(8)
		p.start()
		p.awaitIncarnations(1)
		p.publish(4)
		p.awaitSequence(12)
	})
}

// TestConsumerOfAnother: a copy is restored right after the consumer was created on
// the stream before it. What that consumer delivers is not folded as messages of
// the copy.
func TestConsumerOfAnother(t *testing.T) {
	play(t, func(p *player) {
		p.publishReadSave(10)
		p.crash()
		p.locked(p.keepCopy)
		p.locked(p.create)
		p.publish(30)
		p.locked(func() { p.stream.setFirst(25) })
		p.before("info", 2, func() { p.restore(p.copies[0]) })
		p.start()
		<-time.After(5 * time.Second)
		p.publish(4)
		p.awaitSequence(14)
		p.locked(func() {
			if n := p.unread(); n > 0 {
				p.t.Errorf("%d other incarnations reported", n)
			}
		})
	})
}

// TestOldLeaderBeforeDelivery: an old leader reports another stream before the
// consumer is created. What the consumer has delivered is read all the same, even
// if it leaves the stream meanwhile.
func TestOldLeaderBeforeDelivery(t *testing.T) {
	play(t, func(p *player) {
		p.publishReadSave(10)
		p.crash()
		p.publish(10)
		p.service.delivery = nil
		trimmed := false
		p.onInfo(func(nth int) {
			if nth == 1 {
				p.falseInfo = &state{created: p.stream.created - 1, first: 1, last: 5}
			}
			if d := p.service.delivery; d != nil && d.polled && !trimmed {
				trimmed = true
				p.stream.setFirst(16)
				p.removed = time.Now()
			}
		})
		p.start()
		p.awaitSequence(20)
		p.wantLost(roster.Truncated)
		p.locked(func() {
			if !trimmed {
				p.t.Error("nothing left the stream meanwhile")
			}
		})
	})
}

// TestEndCutOffInDoubt: two witnesses confirm the end of the stream; then it is
// another stream for a moment, and then the old one without its end. That is
// detected.
func TestEndCutOffInDoubt(t *testing.T) {
	play(t, func(p *player) {
		p.publishReadSave(10)
		p.crash()
		p.publish(10)
		was := p.stream
		p.locked(func() { p.wedged = true })
		p.onInfo(func(nth int) {
			switch nth {
			case 2:
				p.create()
			case 3:
				p.restore(was)
				p.cutTo(15)
				p.wedged = false
			}
		})
		p.start()
		p.awaitIncarnations(1)
		p.locked(func() {
			if n := p.service.at.Place; n != 20 {
				p.t.Errorf("%d places reported, want 20", n)
			}
		})
		p.publish(3)
		p.awaitSequence(18)
	})
}

// TestStallWhileTrimmed: consumers deliver nothing on a connection, and the stream
// loses its beginning as fast as the reader gives it up. That counts as a stall,
// too.
func TestStallWhileTrimmed(t *testing.T) {
	play(t, func(p *player) {
		p.retention = &retention{count: 1000, every: 300 * time.Millisecond}
		p.publish(1000)
		p.locked(func() {
			p.stream.setFirst(2)
			p.wedged = true
		})
		p.start()
		reached := false
		for began := time.Now(); !reached && time.Since(began) < reachEndAgain; {
			p.advance(100 * time.Millisecond)
			p.locked(func() { reached = p.service.at.Sequence()+100 > p.stream.last })
		}
		if !reached {
			p.t.Error("the reader does not reach the end")
		}
	})
}

// TestEndCutOffBetweenAnswers: the leader is asked twice, since nothing proves the
// position, and the stream loses its end in between. That is detected.
func TestEndCutOffBetweenAnswers(t *testing.T) {
	play(t, func(p *player) {
		p.publish(5)
		p.start()
		p.awaitSequence(5)
		p.locked(p.create)
		p.awaitIncarnations(1)
		<-time.After(time.Second)
		p.breakConsumer()
		p.locked(func() { p.consumers = []consumerFault{{kind: faultLate}} })
		p.publish(9)
		p.onInfo(func(nth int) {
			if nth == 3 {
				p.cutTo(4)
			}
		})
		p.awaitIncarnations(2)
		p.awaitSequence(4)
		p.locked(func() {
			if place := p.service.at.Place; place != 18 {
				p.t.Errorf("places up to %d, want 18", place)
			}
		})
	})
}

// TestEndCutOff: a stream that lost its unread end is another incarnation: the
// messages known to be there are reported as lost, and those stored in their place
// are read.
func TestEndCutOff(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.silenceConsumer()
		p.publish(20)
		<-time.After(6 * time.Second) // the watch has recorded the new tail
		p.fork(15)
		p.awaitIncarnations(1)
		p.publish(10)
		p.awaitSequence(25)
		p.wantLost(roster.Gap)
	})
}

// TestEndCutOffAndTruncated: the same if the stream lost its beginning, too: the
// answer that reported the truncation also counts for the end.
func TestEndCutOffAndTruncated(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.locked(func() { p.wedged = true })
		p.publish(20)
		p.locked(func() { p.stream.setFirst(15) })
		p.before("info", 3, func() { p.cutTo(25) }) // the second answer reported the truncation
		p.breakConsumer()
		p.awaitIncarnations(1)
		p.locked(func() {
			log := p.service.log
			i := slices.IndexFunc(log, func(e entry) bool { return e.unread || e.lost > 0 })
			if !log[i].unread {
				p.t.Errorf("%d messages from %d are given up, of a stream that no longer exists", log[i].lost, log[i].seq)
			}
			p.wedged = false
		})
		p.awaitSequence(25)
	})
}

// TestUnloadableSnapshot: reading does not continue from a snapshot that could be
// neither loaded nor set aside, and that is ahead of the roster.
func TestUnloadableSnapshot(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.saveSnapshot()
		p.locked(p.create)
		p.publish(5)
		p.awaitIncarnations(1)
		p.awaitSequence(5)
		p.saveSnapshot()
		p.locked(func() { p.disk.files[0].unreadable, p.disk.readOnly = true, true })
		p.crash()
		p.start()
		p.awaitIncarnations(1)
		p.awaitSequence(5)
	})
}

// TestUnannouncedFork: a stream that was replaced by an older copy and has grown
// beyond the position is detected in time, even if nothing reports the end of the
// consumer.
func TestUnannouncedFork(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.silenceConsumer()
		p.locked(func() {
			p.cutTo(5)
			for range 10 {
				p.storeOne()
			}
		})
		p.within(p.awaitIncarnations(1), 8*time.Second)
		p.awaitSequence(15)
	})
}

// TestCopyWithSameMessages: a recreated stream with the same messages, sequences
// and receipts, such as a restored backup, is one other incarnation, and a copy:
// reading continues after the position.
func TestCopyWithSameMessages(t *testing.T) {
	play(t, func(p *player) {
		p.publish(5)
		p.start()
		p.awaitSequence(5)
		p.locked(func() { p.restoreRecreated(p.stream) })
		p.publish(2)
		p.awaitSequence(7)
		if p.unread() != 1 || p.service.at.Place != 7 || p.firstAfterIncarnation() != 6 {
			p.t.Errorf("%d incarnations, at place %d, continued with %d", p.unread(), p.service.at.Place, p.firstAfterIncarnation())
		}
	})
}

// TestOlderCopy: in a restored backup that is older than the position, reading
// continues after the newest position that it has. Its messages were judged before.
func TestOlderCopy(t *testing.T) {
	play(t, func(p *player) {
		p.publish(5)
		p.start()
		p.awaitSequence(5)
		p.saveSnapshot()
		p.publish(5)
		backup := p.stream.copy(0)
		p.publish(10)
		p.awaitSequence(20)
		p.locked(func() { p.restoreRecreated(backup) })
		p.awaitIncarnations(1)
		p.awaitSequence(10)
		p.locked(func() {
			if at := p.service.at; p.firstAfterIncarnation() != 6 || at.Judged == 0 {
				p.t.Errorf("continued with %d, judged up to %s", p.firstAfterIncarnation(), at.Judged)
			}
		})
	})
}
