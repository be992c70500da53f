package stream

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// TestEndCutOffBeforePosition: the stream is cut off behind the last message read,
// where the position, after losses, is beyond: what is then stored there is read.
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

// TestConsumerOfAnother: a copy is restored right after the consumer was made on
// the stream before it: what that delivers is not taken for the copy's.
func TestConsumerOfAnother(t *testing.T) {
	play(t, func(p *player) {
		p.publishReadSave(10)
		p.crash()
		p.locked(p.keepCopy)
		p.locked(p.create)
		p.publish(30)
		p.locked(func() { p.stream.setFirst(25) })
		p.before("look", 2, func() { p.restore(p.copies[0]) })
		p.start()
		<-time.After(5 * time.Second)
		p.publish(4)
		p.awaitSequence(14)
		p.locked(func() {
			if n := p.unread(); n > 0 {
				p.t.Errorf("%d other incarnations are told of", n)
			}
		})
	})
}

// TestOldLeaderBeforeDelivery: an old leader tells of another stream before the
// consumer is made: what that has delivered is at hand all the same, whatever
// leaves the stream meanwhile.
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
				p.t.Error("nothing has left the stream meanwhile")
			}
		})
	})
}

// TestEndCutOffInDoubt: the stream was told of by two witnesses, is another for a
// moment, then is there again without its end: that is noticed.
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
				p.t.Errorf("%d places are told of, want 20", n)
			}
		})
		p.publish(3)
		p.awaitSequence(18)
	})
}

// TestStallWhileTrimmed: consumers deliver nothing on a connection, and the stream
// loses its beginning as fast as it is given up: that is to stand still, too.
func TestStallWhileTrimmed(t *testing.T) {
	play(t, func(p *player) {
		p.retention = &retention{count: 1000, every: 300 * time.Millisecond}
		p.publish(1000)
		p.locked(func() {
			p.stream.setFirst(2)
			p.wedged = true
		})
		p.start()
		come := false
		for began := time.Now(); !come && time.Since(began) < reachesAgain; {
			p.advance(100 * time.Millisecond)
			p.locked(func() { come = p.service.at.Sequence()+100 > p.stream.last })
		}
		if !come {
			p.t.Error("the reader does not come to the end")
		}
	})
}

// TestEndCutOffBetweenAnswers: the leader is asked twice, as nothing proves the
// position, and the stream loses its end in between: that is noticed.
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

// TestEndCutOff: a stream that has lost its end, none of which was read, is
// another: what was known to be there is told as lost, and what is stored in its
// place is read.
func TestEndCutOff(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.silenceConsumer()
		p.publish(20)
		<-time.After(6 * time.Second) // the watch has seen them
		p.fork(15)
		p.awaitIncarnations(1)
		p.publish(10)
		p.awaitSequence(25)
		p.wantLost(roster.Gap)
	})
}

// TestEndCutOffAndTruncated: the same where the stream has lost its beginning, too:
// what the answer that told so has told of its end is not forgotten.
func TestEndCutOffAndTruncated(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.locked(func() { p.wedged = true })
		p.publish(20)
		p.locked(func() { p.stream.setFirst(15) })
		p.before("look", 3, func() { p.cutTo(25) }) // the second has told that it was truncated
		p.breakConsumer()
		p.awaitIncarnations(1)
		p.locked(func() {
			log := p.service.log
			i := slices.IndexFunc(log, func(e entry) bool { return e.unread || e.lost > 0 })
			if !log[i].unread {
				p.t.Errorf("%d from %d are given up, of a stream that is no more", log[i].lost, log[i].seq)
			}
			p.wedged = false
		})
		p.awaitSequence(25)
	})
}

// TestUnloadableSnapshot: a snapshot that could be neither loaded nor set aside, of a
// place that the roster has not come to, is nowhere to go on from.
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

// TestUnannouncedFork: a stream that became an older copy and has gone on beyond the
// position is noticed in time, though nobody says that the consumer has gone.
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

// TestCopyWithSameMessages: a stream made anew that holds the same messages, as a
// restored backup does, under the same sequences and with the same receipts, is
// another incarnation, once, and a copy: reading goes on after the position.
func TestCopyWithSameMessages(t *testing.T) {
	play(t, func(p *player) {
		p.publish(5)
		p.start()
		p.awaitSequence(5)
		p.locked(func() { p.restoreRecreated(p.stream) })
		p.publish(2)
		p.awaitSequence(7)
		if p.unread() != 1 || p.service.at.Place != 7 || p.firstAfterIncarnation() != 6 {
			p.t.Errorf("%d incarnations, at place %d, read on with %d", p.unread(), p.service.at.Place, p.firstAfterIncarnation())
		}
	})
}

// TestOlderCopy: a backup that is older than the position, restored, is read on
// after the newest position that it has. What it has was judged before.
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
				p.t.Errorf("read on with %d, judged up to %s", p.firstAfterIncarnation(), at.Judged)
			}
		})
	})
}
