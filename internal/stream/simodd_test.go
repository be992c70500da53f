package stream

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// TestProofRemoved: where the message of the position is gone, that of an
// earlier position tells that the stream is another copy.
func TestProofRemoved(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.saveSnapshot()
		p.publish(10)
		p.awaitSequence(20)
		p.fork(5)
		p.publish(20)
		p.locked(func() { p.stream.remove(20) })
		p.within(p.awaitIncarnations(1), 25*time.Second)
		p.awaitSequence(25)
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
				p.awaitSequence(4)
				if saved {
					p.saveSnapshot()
				}
				p.publish(6)
				p.awaitSequence(10)
				p.before("get", nth, func() { p.oddGet = true })
				p.locked(func() {
					p.cutTo(5)
					for range 10 {
						p.storeOne()
					}
				})
				p.awaitIncarnations(1)
				p.awaitSequence(15)
				want := uint64(1)
				if saved {
					want = 5
				}
				if got := p.firstAfterIncarnation(); got != want {
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
					p.awaitSequence(4)
					p.saveSnapshot()
					p.publish(6)
					p.awaitSequence(10)
					p.fork(5)
					lie := state{created: p.stream.created, first: first, last: 10}
					more := func() {
						for range 10 {
							p.storeOne()
						}
					}
					told := false
					p.answerFalsely(nth, lie, func() {
						if told = true; grown {
							more()
						}
					})
					p.breakConsumer()
					p.until(func() bool { return told }, "the old leader has answered")
					if !grown {
						<-time.After(time.Second)
						p.locked(more)
					}
					p.awaitIncarnations(1)
					p.awaitSequence(15)
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
			p.awaitSequence(10)
			p.silenceConsumer()
			p.publish(10)
			p.before("look", nth, func() { p.falseInfo = &state{created: p.stream.created, first: 17, last: 20} })
			p.locked(func() { p.stream.setFirst(13) })
			p.awaitSequence(20)
			p.wantLost(roster.Truncated, 11, 12)
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
			p.awaitSequence(10)
			p.before("look", nth, func() { p.falseInfo = &state{created: 1, first: 1, last: 3} })
			p.locked(p.create)
			p.publish(5)
			<-time.After(40 * time.Second)
			if p.unread() != 1 {
				p.t.Errorf("look %d: %d incarnations", nth, p.unread())
			}
		})
	}
}

// TestProofOfOtherIncarnation: that earlier positions of another incarnation don't hold
// any more says nothing about this one.
func TestProofOfOtherIncarnation(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.saveSnapshot()
		p.fork(5)
		p.publish(15)
		p.awaitIncarnations(1)
		p.awaitSequence(20)
		p.locked(func() { p.stream.remove(20) })
		p.breakConsumer()
		p.publish(2)
		p.awaitSequence(22)
	})
}

// TestOddFirstAnswer: at the very first look, when there is nothing to compare
// with, an old leader tells of another stream, longer or shorter, whose beginning
// is there or not. It is not taken for ours.
func TestOddFirstAnswer(t *testing.T) {
	for _, another := range []state{{created: 1, first: 5, last: 500}, {created: 1, first: 1, last: 500}, {created: 1, first: 1, last: 5}} {
		for _, begun := range []uint64{1, 3} {
			for nth := 1; nth <= 5; nth++ {
				play(t, func(p *player) {
					p.publish(10)
					p.locked(func() { p.stream.setFirst(begun) })
					p.before("look", nth, func() { p.falseInfo = &another })
					p.start()
					p.awaitSequence(10)
					p.breakConsumer()
					<-time.After(20 * time.Second)
					p.wantLost(roster.BaselineLost, []uint64{1, 2}[:begun-1]...)
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
				p.awaitSequence(10)
				p.locked(func() { p.stream.hidden[12], p.stream.hidden[15] = true, true })
				p.before("look", nth, func() { p.falseInfo = &lie })
				p.publish(5)
				p.breakConsumer()
				<-time.After(60 * time.Second)
				if p.unread() != 0 || len(p.service.log) != 15 {
					p.t.Errorf("look %d: %d incarnations, %d messages", nth, p.unread(), len(p.service.log))
				}
			})
		}
	}
}

// TestProofCoversPayload: another payload under the same sequence and receipt
// is another message.
func TestProofCoversPayload(t *testing.T) {
	play(t, func(p *player) {
		p.publish(3)
		p.start()
		p.awaitSequence(3)
		last := p.service.at.Proof
		for _, want := range []proof{proven, refuted} {
			found, err := p.service.reader.checkProof(p.service.ctx, last, p.stream.state())
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
		p.awaitSequence(10)
		p.locked(func() {
			old := p.stream.history
			p.cutTo(5)
			for _, m := range append(slices.Clone(old[5:]), old[5:]...) {
				again := *m
				again.receipt = p.receive()
				p.stream.store(&again)
				p.messages[again.receipt] = &again
			}
		})
		p.awaitIncarnations(1)
		p.awaitSequence(15)
	})
}
