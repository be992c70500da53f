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
		p.hook = func(asked string) {
			if asked == what {
				if nth--; nth == 0 {
					do()
				}
			}
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

// saves writes a snapshot to its end.
func (p *player) saves() {
	p.snapshot()
	p.saving.Wait()
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

// TestEndCutOff: a stream that has lost its end, none of which was read, is
// another: what was known to be there is told as lost, and what is stored in its
// place is read.
func TestEndCutOff(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(func() { p.wedged = true })
		p.publish(20)
		<-time.After(6 * time.Second) // the watch has seen them
		p.fork(15)
		p.rebases(1)
		p.publish(10)
		p.reads(25)
		p.wants(roster.Gap)
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
// with, an old leader tells of another stream. It is not taken for ours.
func TestOddBeginnings(t *testing.T) {
	another := state{created: 1, first: 5, last: 500}
	for nth := 1; nth <= 5; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.locked(func() { p.life.begin(3) })
			p.before("look", nth, func() { p.lie = &another })
			p.start()
			p.reads(10)
			p.breaks()
			<-time.After(20 * time.Second)
			p.wants(roster.BaselineLost, 1, 2)
			if p.unread() != 0 || p.service.reader.Lag() != 0 {
				t.Errorf("look %d: %d incarnations, lag %d", nth, p.unread(), p.service.reader.Lag())
			}
		})
		play(t, func(p *player) {
			p.publish(10)
			p.before("look", nth, func() { p.lie = &another })
			p.start()
			p.reads(10)
			p.breaks()
			<-time.After(20 * time.Second)
			if p.unread() != 0 || p.service.reader.Lag() != 0 {
				t.Errorf("look %d: %d incarnations, lag %d", nth, p.unread(), p.service.reader.Lag())
			}
		})
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
					t.Errorf("look %d: %d incarnations, %d messages", nth, p.unread(), len(p.service.log))
				}
			})
		}
	}
}

// TestUnloadable: a snapshot that could not be loaded, of a place that the
// roster has not come to, is nowhere to go on from.
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
		p.locked(func() { p.disk.files[0].stuck = true })
		p.crash()
		p.start()
		p.rebases(1)
		p.reads(5)
	})
}

// TestDeletedBefore: what was deleted in one incarnation is not deleted in the
// next.
func TestDeletedBefore(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.life.remove(4)
		p.life.remove(5)
		p.start()
		p.reads(10)
		p.wants(roster.Deleted, 4, 5)
		p.locked(func() {
			p.create()
			p.life.hidden[4], p.life.hidden[5] = true, true
		})
		p.publish(10)
		p.rebases(1)
		p.reads(10)
		p.wants(roster.Deleted, 4, 5)
	})
}

// TestReasons: each message of a gap is lost for its own reason.
func TestReasons(t *testing.T) {
	play(t, func(p *player) {
		p.publish(20)
		p.locked(func() {
			l := p.life
			l.remove(3)
			l.gone[4], l.hidden[5], l.gone[6], l.gone[7] = true, true, true, true
			l.remove(8)
			l.gone[9] = true
		})
		p.start()
		p.reads(20)
		p.wants(roster.Deleted, 3, 8)
		p.wants(roster.Gap, 4, 6, 7, 9)
	})
}

// TestGapMeanwhile: whatever becomes of the stream while a gap is looked at,
// the gap is explained by that.
func TestGapMeanwhile(t *testing.T) {
	happens := map[string]func(p *player){
		"truncated": func(p *player) { p.life.begin(8); p.removed = time.Now() },
		"recreated": func(p *player) { p.create() },
		"recreated and purged": func(p *player) {
			p.create()
			p.life.last, p.life.first, p.life.history = 100, 101, make([]*simMessage, 100)
		},
		"cut off": func(p *player) { p.cutTo(4) },
	}
	for name, happen := range happens {
		for _, what := range []string{"look", "deleted", "get"} {
			for nth := 1; nth <= 4; nth++ {
				play(t, func(p *player) {
					created := p.life.created
					p.publish(3)
					p.start()
					p.reads(3)
					p.locked(func() {
						for seq := uint64(5); seq < 8; seq++ {
							p.life.gone[seq] = true
						}
						p.service.delivery.fault = consumerFault{faultSkip, 1}
					})
					p.before(what, nth, func() { happen(p) })
					p.publish(8)
					<-time.After(25 * time.Second)
					p.locked(func() {
						for _, e := range p.service.log {
							if e.lost > 0 && e.why == roster.Truncated && e.created == created && name != "truncated" {
								t.Errorf("%s at %s %d: lost as truncated: %d from %d", name, what, nth, e.lost, e.seq)
							}
						}
					})
				})
			}
		}
	}
}

// TestForkedFetch: a message that was asked for is not taken for one of this
// incarnation when the stream has become another meanwhile.
func TestForkedFetch(t *testing.T) {
	for nth := 1; nth <= 4; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.start()
			p.reads(10)
			p.locked(func() {
				p.life.hidden[11] = true
				p.wedged = true
			})
			p.publish(1)
			<-time.After(20 * time.Second)
			p.before("get", nth+1, func() {
				p.cutTo(5)
				for range 8 {
					p.storeOne()
				}
			})
			p.rebases(1)
			p.reads(13)
		})
	}
}

// TestAwayWhileAsking: that JetStream does not answer is no answer.
func TestAwayWhileAsking(t *testing.T) {
	for nth := 1; nth <= 8; nth++ {
		play(t, func(p *player) {
			p.publish(3)
			p.start()
			p.reads(3)
			p.locked(func() {
				p.life.gone[5] = true
				p.life.hidden[6], p.life.hidden[7] = true, true
			})
			p.before("get", nth, func() { p.away = time.Now().Add(3 * time.Second) })
			p.publish(5)
			p.reads(8)
			p.wants(roster.Gap, 5)
		})
	}
}

// TestQuickly: what needs no doubt needs no wait.
func TestQuickly(t *testing.T) {
	play(t, func(p *player) { // a deleted end
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(func() {
			p.service.delivery.dead = true
			p.storeOne()
			p.life.remove(11)
		})
		p.within(p.reads(11), time.Second)
	})
	play(t, func(p *player) { // truncated while nothing is delivered
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(func() { p.wedged = true })
		p.publish(10)
		p.locked(func() { p.life.begin(16) })
		p.within(p.until(func() bool { return len(p.lost(roster.Truncated)) == 5 }, "the truncation is told of"), 8*time.Second)
	})
	play(t, func(p *player) { // deleted while a consumer is idle, and nobody says so
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(func() {
			p.service.delivery.dead, p.service.delivery.silent = true, true
			p.instead(nil)
		})
		p.within(p.until(func() bool { return p.life != nil }, "the stream is made"), 9*time.Second)
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
