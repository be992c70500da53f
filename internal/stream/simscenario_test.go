package stream

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/roster"
)

// play lets a script happen to a stream and a service of their own, then
// nothing more, and checks where it all ends.
func play(t *testing.T, script func(p *player)) {
	outside(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(4, &coverage{n: map[string]float64{}})
		w.harmless, w.log = false, slog.New(slog.DiscardHandler)
		p := &player{w, t}
		script(p)
		if w.problem == "" {
			w.calm()
		}
		w.crash()
		w.saving.Wait()
		if w.problem != "" {
			t.Error(w.problem)
		}
	})
}

// player is the world in the hands of a script.
type player struct {
	*world
	t *testing.T
}

// before does something before the nth question of a kind from now on is
// answered.
func (p *player) before(what string, nth int, do func()) {
	p.locked(func() {
		p.hook = func(asked string) error {
			if asked == what {
				if nth--; nth == 0 {
					do()
				}
			}
			return nil
		}
	})
}

// onLook does something before each look from now on is answered, the first being
// number 1.
func (p *player) onLook(do func(nth int)) {
	nth := 0
	p.locked(func() {
		p.hook = func(asked string) error {
			if asked == "look" {
				nth++
				do(nth)
			}
			return nil
		}
	})
}

// lies lets an old leader answer the nth look from now on. Something else happens
// before the next one.
func (p *player) lies(nth int, lie state, then func()) {
	p.locked(func() {
		p.hook = func(asked string) error {
			if asked == "look" {
				switch nth--; nth {
				case 0:
					p.lie = &lie
				case -1:
					then()
				}
			}
			return nil
		}
	})
}

// reads waits until the reader has come to a sequence, and returns how long it
// took.
func (p *player) reads(seq uint64) time.Duration {
	p.t.Helper()
	return p.until(func() bool { return p.service.at.Sequence() == seq }, "sequence is read")
}

// rebases waits until the reader has told of another incarnation.
func (p *player) rebases(times int) time.Duration {
	p.t.Helper()
	return p.until(func() bool { return p.unread() == times }, "another incarnation is told of")
}

func (p *player) until(condition func() bool, what string) time.Duration {
	p.t.Helper()
	began := time.Now()
	for time.Since(began) < 2*time.Minute {
		var met bool
		p.locked(func() { met = condition() })
		if met {
			return time.Since(began)
		}
		<-time.After(10 * time.Millisecond)
	}
	p.locked(func() {
		p.t.Errorf("it isn't so that %s; at sequence %d: %s", what, p.service.at.Sequence(), p.problem)
	})
	return 0
}

// unread is how many incarnations the service has told of.
func (p *player) unread() int {
	n := 0
	for _, e := range p.service.log {
		if e.unread {
			n++
		}
	}
	return n
}

// after is the first sequence read of another incarnation.
func (p *player) after() uint64 {
	log := p.service.log
	i := slices.IndexFunc(log, func(e entry) bool { return e.unread })
	return log[i+1].seq
}

// lost are the sequences given up for a reason.
func (p *player) lost(why roster.Loss) []uint64 {
	var lost []uint64
	for _, e := range p.service.log {
		for i := range e.lost {
			if e.why == why {
				lost = append(lost, e.seq+i)
			}
		}
	}
	return lost
}

func (p *player) wants(why roster.Loss, seqs ...uint64) {
	p.t.Helper()
	p.locked(func() {
		if got := p.lost(why); !slices.Equal(got, seqs) {
			p.t.Errorf("lost as %s: %v, want %v", why, got, seqs)
		}
	})
}

// within checks that something took no longer.
func (p *player) within(took, limit time.Duration) {
	p.t.Helper()
	if took > limit {
		p.t.Errorf("it took %v, at most %v", took, limit)
	}
}

// fork makes the stream an older one that ends at a sequence.
func (p *player) fork(last uint64) {
	p.locked(func() { p.cutTo(last) })
}

// breaks ends the consumer.
func (p *player) breaks() {
	p.locked(func() {
		p.service.delivery.dead = true
		p.life.tell()
	})
}

// silences lets the consumer deliver no more, without a word.
func (p *player) silences() {
	p.locked(func() {
		d := p.service.delivery
		d.dead, d.silent, d.heard = true, true, time.Now()
	})
}

// saves writes a snapshot to its end.
func (p *player) saves() {
	p.snapshot()
	p.saving.Wait()
}

// readsAndSaves reads a new stream of so many messages, and writes a snapshot.
func (p *player) readsAndSaves(messages int) {
	p.t.Helper()
	p.publish(messages)
	p.start()
	p.reads(uint64(messages))
	p.saves()
}

// TestCutBehindLosses: the stream is cut off behind the last message read, where
// the position, after losses, is beyond: what is then stored there is read.
func TestCutBehindLosses(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.life.remove(9)
		p.life.remove(10)
		p.start()
		p.reads(10)
		p.saves()
		p.crash()
		p.fork(8)
		p.start()
		p.rebases(1)
		p.publish(4)
		p.reads(12)
	})
}

// TestConsumerOfAnother: a copy is restored right after the consumer was made on
// the stream before it: what that delivers is not taken for the copy's.
func TestConsumerOfAnother(t *testing.T) {
	play(t, func(p *player) {
		p.readsAndSaves(10)
		p.crash()
		p.locked(p.keepCopy)
		p.locked(p.create)
		p.publish(30)
		p.locked(func() { p.life.begin(25) })
		p.before("look", 2, func() { p.restore(p.copies[0]) })
		p.start()
		<-time.After(5 * time.Second)
		p.publish(4)
		p.reads(14)
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
		p.readsAndSaves(10)
		p.crash()
		p.publish(10)
		p.service.delivery = nil
		trimmed := false
		p.onLook(func(nth int) {
			if nth == 1 {
				p.lie = &state{created: p.life.created - 1, first: 1, last: 5}
			}
			if d := p.service.delivery; d != nil && d.polled && !trimmed {
				trimmed = true
				p.life.begin(16)
				p.removed = time.Now()
			}
		})
		p.start()
		p.reads(20)
		p.wants(roster.Truncated)
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
		p.readsAndSaves(10)
		p.crash()
		p.publish(10)
		was := p.life
		p.locked(func() { p.wedged = true })
		p.onLook(func(nth int) {
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
		p.rebases(1)
		p.locked(func() {
			if n := p.service.at.Place; n != 20 {
				p.t.Errorf("%d places are told of, want 20", n)
			}
		})
		p.publish(3)
		p.reads(18)
	})
}

// TestStallWhileTrimmed: consumers deliver nothing on a connection, and the stream
// loses its beginning as fast as it is given up: that is to stand still, too.
func TestStallWhileTrimmed(t *testing.T) {
	play(t, func(p *player) {
		p.retention = &retention{count: 1000, every: 300 * time.Millisecond}
		p.publish(1000)
		p.locked(func() {
			p.life.begin(2)
			p.wedged = true
		})
		p.start()
		come := false
		for began := time.Now(); !come && time.Since(began) < reachesAgain; {
			p.pass(100 * time.Millisecond)
			p.locked(func() { come = p.service.at.Sequence()+100 > p.life.last })
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
		p.reads(5)
		p.locked(p.create)
		p.rebases(1)
		<-time.After(time.Second)
		p.breaks()
		p.locked(func() { p.consumers = []consumerFault{{kind: faultLate}} })
		p.publish(9)
		p.onLook(func(nth int) {
			if nth == 3 {
				p.cutTo(4)
			}
		})
		p.rebases(2)
		p.reads(4)
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
		p.reads(10)
		p.silences()
		p.publish(20)
		<-time.After(6 * time.Second) // the watch has seen them
		p.fork(15)
		p.rebases(1)
		p.publish(10)
		p.reads(25)
		p.wants(roster.Gap)
	})
}

// TestEndCutOffOfTruncated: the same where the stream has lost its beginning, too:
// what the answer that told so has told of its end is not forgotten.
func TestEndCutOffOfTruncated(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(func() { p.wedged = true })
		p.publish(20)
		p.locked(func() { p.life.begin(15) })
		p.before("look", 3, func() { p.cutTo(25) }) // the second has told that it was truncated
		p.breaks()
		p.rebases(1)
		p.locked(func() {
			log := p.service.log
			i := slices.IndexFunc(log, func(e entry) bool { return e.unread || e.lost > 0 })
			if !log[i].unread {
				p.t.Errorf("%d from %d are given up, of a stream that is no more", log[i].lost, log[i].seq)
			}
			p.wedged = false
		})
		p.reads(25)
	})
}

// TestProofRemoved: where the message of the position is gone, that of an
// earlier position tells that the stream is another copy.
func TestProofRemoved(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.saves()
		p.publish(10)
		p.reads(20)
		p.fork(5)
		p.publish(20)
		p.locked(func() { p.life.remove(20) })
		p.within(p.rebases(1), 25*time.Second)
		p.reads(25)
	})
}

// TestProofOddlyMissing: that an old leader does not have the message of a
// position, once, does not make another stream ours, whether or not an earlier
// position is in it, and reading goes on after that one.
func TestProofOddlyMissing(t *testing.T) {
	for _, saved := range []bool{false, true} {
		for nth := 1; nth <= 6; nth++ {
			play(t, func(p *player) {
				p.publish(4)
				p.start()
				p.reads(4)
				if saved {
					p.saves()
				}
				p.publish(6)
				p.reads(10)
				p.before("get", nth, func() { p.oddGet = true })
				p.locked(func() {
					p.cutTo(5)
					for range 10 {
						p.storeOne()
					}
				})
				p.rebases(1)
				p.reads(15)
				want := uint64(1)
				if saved {
					want = 5
				}
				if got := p.after(); got != want {
					p.t.Errorf("get %d: reading goes on with %d, want %d", nth, got, want)
				}
			})
		}
	}
}

// TestOddEnd: a stream that ends before the position is not taken for ours when
// an old leader tells, once, that it goes further, though an earlier position is
// in it, or that it was purged, so that nothing in it would prove anything: not
// even if it has come to go further at the next look.
func TestOddEnd(t *testing.T) {
	for _, first := range []uint64{1, 11} {
		for _, grown := range []bool{false, true} {
			for nth := 1; nth <= 6; nth++ {
				play(t, func(p *player) {
					p.publish(4)
					p.start()
					p.reads(4)
					p.saves()
					p.publish(6)
					p.reads(10)
					p.fork(5)
					lie := state{created: p.life.created, first: first, last: 10}
					more := func() {
						for range 10 {
							p.storeOne()
						}
					}
					told := false
					p.lies(nth, lie, func() {
						if told = true; grown {
							more()
						}
					})
					p.breaks()
					p.until(func() bool { return told }, "the old leader has answered")
					if !grown {
						<-time.After(time.Second)
						p.locked(more)
					}
					p.rebases(1)
					p.reads(15)
				})
			}
		}
	}
}

// TestOddTruncation: where the stream has lost its beginning, an old leader's
// answer that tells of an even later one, once, gives up no message that is
// there.
func TestOddTruncation(t *testing.T) {
	for nth := 1; nth <= 6; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.start()
			p.reads(10)
			p.silences()
			p.publish(10)
			p.before("look", nth, func() { p.lie = &state{created: p.life.created, first: 17, last: 20} })
			p.locked(func() { p.life.begin(13) })
			p.reads(20)
			p.wants(roster.Truncated, 11, 12)
		})
	}
}

// TestOddRecreation: where the stream was recreated, an old leader's answer that
// tells of yet another one, once, is no second incarnation.
func TestOddRecreation(t *testing.T) {
	for nth := 1; nth <= 6; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.start()
			p.reads(10)
			p.before("look", nth, func() { p.lie = &state{created: 1, first: 1, last: 3} })
			p.locked(p.create)
			p.publish(5)
			<-time.After(40 * time.Second)
			if p.unread() != 1 {
				p.t.Errorf("look %d: %d incarnations", nth, p.unread())
			}
		})
	}
}

// TestProofOfAnother: that earlier positions of another incarnation don't hold
// any more says nothing about this one.
func TestProofOfAnother(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.saves()
		p.fork(5)
		p.publish(15)
		p.rebases(1)
		p.reads(20)
		p.locked(func() { p.life.remove(20) })
		p.breaks()
		p.publish(2)
		p.reads(22)
	})
}

// TestOddBeginnings: at the very first look, when there is nothing to compare
// with, an old leader tells of another stream, longer or shorter, whose beginning
// is there or not. It is not taken for ours.
func TestOddBeginnings(t *testing.T) {
	for _, another := range []state{{created: 1, first: 5, last: 500}, {created: 1, first: 1, last: 500}, {created: 1, first: 1, last: 5}} {
		for _, begun := range []uint64{1, 3} {
			for nth := 1; nth <= 5; nth++ {
				play(t, func(p *player) {
					p.publish(10)
					p.locked(func() { p.life.begin(begun) })
					p.before("look", nth, func() { p.lie = &another })
					p.start()
					p.reads(10)
					p.breaks()
					<-time.After(20 * time.Second)
					p.wants(roster.BaselineLost, []uint64{1, 2}[:begun-1]...)
					if p.unread() != 0 || p.service.reader.Lag() != 0 {
						p.t.Errorf("look %d: %d incarnations, lag %d", nth, p.unread(), p.service.reader.Lag())
					}
				})
			}
		}
	}
}

// TestOddAnswers: whichever look is the one that an old leader answers, of a
// stream that is idle, read, or not delivered, nothing is lost and nothing is
// told. It tells of another stream, shorter or longer.
func TestOddAnswers(t *testing.T) {
	for _, lie := range []state{{created: 1, first: 1, last: 5}, {created: 1, first: 300, last: 500}, {created: 1, first: 501, last: 500}} {
		for nth := 1; nth <= 12; nth++ {
			play(t, func(p *player) {
				p.publish(10)
				p.start()
				p.reads(10)
				p.locked(func() { p.life.hidden[12], p.life.hidden[15] = true, true })
				p.before("look", nth, func() { p.lie = &lie })
				p.publish(5)
				p.breaks()
				<-time.After(60 * time.Second)
				if p.unread() != 0 || len(p.service.log) != 15 {
					p.t.Errorf("look %d: %d incarnations, %d messages", nth, p.unread(), len(p.service.log))
				}
			})
		}
	}
}

// TestUnloadable: a snapshot that could be neither loaded nor set aside, of a
// place that the roster has not come to, is nowhere to go on from.
func TestUnloadable(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.saves()
		p.locked(p.create)
		p.publish(5)
		p.rebases(1)
		p.reads(5)
		p.saves()
		p.locked(func() { p.disk.files[0].stuck, p.disk.readOnly = true, true })
		p.crash()
		p.start()
		p.rebases(1)
		p.reads(5)
	})
}

// TestProofCoversPayload: another payload under the same sequence and receipt
// is another message.
func TestProofCoversPayload(t *testing.T) {
	play(t, func(p *player) {
		p.publish(3)
		p.start()
		p.reads(3)
		last := p.service.at.Proof
		for _, want := range []proof{held, refuted} {
			found, err := p.service.reader.proves(p.service.ctx, last, p.life.state())
			if found != want || err != nil {
				p.t.Errorf("the proof is %v, error %v; want %v", found, err, want)
			}
			last.Hash[7] ^= 1
		}
	})
}

// TestSamePayloads: a stream restored from an older copy to which the same
// payloads were published again is told by their receipts.
func TestSamePayloads(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(func() {
			old := p.life.history
			p.cutTo(5)
			for _, m := range append(slices.Clone(old[5:]), old[5:]...) {
				again := *m
				again.receipt = p.receive()
				p.life.store(&again)
				p.all[again.receipt] = &again
			}
		})
		p.rebases(1)
		p.reads(15)
	})
}

// TestForkUntold: a stream that became an older copy and has gone on beyond the
// position is noticed in time, though nobody says that the consumer has gone.
func TestForkUntold(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.silences()
		p.locked(func() {
			p.cutTo(5)
			for range 10 {
				p.storeOne()
			}
		})
		p.within(p.rebases(1), 8*time.Second)
		p.reads(15)
	})
}

// TestCopiedMessages: a stream made anew that holds the same messages, as a
// restored backup does, under the same sequences and with the same receipts, is
// another incarnation, once, and a copy: reading goes on after the position.
func TestCopiedMessages(t *testing.T) {
	play(t, func(p *player) {
		p.publish(5)
		p.start()
		p.reads(5)
		p.locked(func() { p.restoreAnew(p.life) })
		p.publish(2)
		p.reads(7)
		if p.unread() != 1 || p.service.at.Place != 7 || p.after() != 6 {
			p.t.Errorf("%d incarnations, at place %d, read on with %d", p.unread(), p.service.at.Place, p.after())
		}
	})
}

// TestCopiedAnew: a backup that is older than the position, restored, is read on
// after the newest position that it has. What it has was judged before.
func TestCopiedAnew(t *testing.T) {
	play(t, func(p *player) {
		p.publish(5)
		p.start()
		p.reads(5)
		p.saves()
		p.publish(5)
		backup := p.life.copy(0)
		p.publish(10)
		p.reads(20)
		p.locked(func() { p.restoreAnew(backup) })
		p.rebases(1)
		p.reads(10)
		p.locked(func() {
			if at := p.service.at; p.after() != 6 || at.Judged == 0 {
				p.t.Errorf("read on with %d, judged up to %s", p.after(), at.Judged)
			}
		})
	})
}
