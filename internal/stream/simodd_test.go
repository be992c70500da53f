package stream

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// TestProofRemoved: if the message of the position is gone, that of an earlier
// position shows that the stream is another copy.
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

// TestProofOddlyMissing: if an old leader answers, once, that it lacks the message
// of the position, another stream is not accepted as ours, and reading continues
// after an earlier position if the stream has one.
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
					p.t.Errorf("get %d: reading continues with %d, want %d", nth, got, want)
				}
			})
		}
	}
}

// TestOddEnd: a stream that ends before the position is not accepted as ours if an
// old leader reports, once, that it goes further, even if it has an earlier
// position, if it was purged so that nothing can be compared, or if it does go
// further by the next request.
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
					answered := false
					p.answerFalsely(nth, lie, func() {
						if answered = true; grown {
							more()
						}
					})
					p.breakConsumer()
					p.until(func() bool { return answered }, "the old leader has answered")
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

// TestOddTruncation: if a truncated stream is reported, once, as truncated even
// further, no message that it still has is given up.
func TestOddTruncation(t *testing.T) {
	for nth := 1; nth <= 6; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.start()
			p.awaitSequence(10)
			p.silenceConsumer()
			p.publish(10)
			p.before("info", nth, func() { p.falseInfo = &state{created: p.stream.created, first: 17, last: 20} })
			p.locked(func() { p.stream.setFirst(13) })
			p.awaitSequence(20)
			p.wantLost(roster.Truncated, 11, 12)
		})
	}
}

// TestOddRecreation: if an old leader reports, once, yet another stream after a
// recreation, that is not a second incarnation.
func TestOddRecreation(t *testing.T) {
	for nth := 1; nth <= 6; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.start()
			p.awaitSequence(10)
			p.before("info", nth, func() { p.falseInfo = &state{created: 1, first: 1, last: 3} })
			p.locked(p.create)
			p.publish(5)
			<-time.After(40 * time.Second)
			if p.unread() != 1 {
				p.t.Errorf("info %d: %d incarnations", nth, p.unread())
			}
		})
	}
}

// TestProofOfOtherIncarnation: earlier positions of another incarnation do not
// count against this one.
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

// TestOddFirstAnswer: at the first start, when there is nothing to compare with, an
// old leader reports another stream: longer or shorter, with or without its
// beginning. It is not accepted as ours.
func TestOddFirstAnswer(t *testing.T) {
	for _, another := range []state{{created: 1, first: 5, last: 500}, {created: 1, first: 1, last: 500}, {created: 1, first: 1, last: 5}} {
		for _, begun := range []uint64{1, 3} {
			for nth := 1; nth <= 5; nth++ {
				play(t, func(p *player) {
					p.publish(10)
					p.locked(func() { p.stream.setFirst(begun) })
					p.before("info", nth, func() { p.falseInfo = &another })
					p.start()
					p.awaitSequence(10)
					p.breakConsumer()
					<-time.After(20 * time.Second)
					p.wantLost(roster.BaselineLost, []uint64{1, 2}[:begun-1]...)
					if p.unread() != 0 || p.service.reader.Lag() != 0 {
						p.t.Errorf("info %d: %d incarnations, lag %d", nth, p.unread(), p.service.reader.Lag())
					}
				})
			}
		}
	}
}

// TestOddAnswers: whichever single info request an old leader answers, with a
// shorter or a longer stream, and whether the stream is idle, being read, or not
// delivered: no message is lost, and no incarnation reported.
func TestOddAnswers(t *testing.T) {
	for _, lie := range []state{{created: 1, first: 1, last: 5}, {created: 1, first: 300, last: 500}, {created: 1, first: 501, last: 500}} {
		for nth := 1; nth <= 12; nth++ {
			play(t, func(p *player) {
				p.publish(10)
				p.start()
				p.awaitSequence(10)
				p.locked(func() { p.stream.hidden[12], p.stream.hidden[15] = true, true })
				p.before("info", nth, func() { p.falseInfo = &lie })
				p.publish(5)
				p.breakConsumer()
				<-time.After(60 * time.Second)
				if p.unread() != 0 || len(p.service.log) != 15 {
					p.t.Errorf("info %d: %d incarnations, %d messages", nth, p.unread(), len(p.service.log))
				}
			})
		}
	}
}

// TestProofCoversPayload: another payload under the same sequence and receipt is
// another message.
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

// TestSamePayloads: a stream restored from an older copy, to which the same
// payloads were published again, is detected by their receipts.
func TestSamePayloads(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.locked(func() {
			old := p.stream.history
			p.cutTo(5)
			for _, m := range append(slices.Clone(old[5:]), old[5:]...) {
				copied := *m
				copied.receipt = p.receive()
				p.stream.store(&copied)
				p.messages[copied.receipt] = &copied
			}
		})
		p.awaitIncarnations(1)
		p.awaitSequence(15)
	})
}

// TestOddEndWithoutSnapshot: after a crash before the first snapshot, an old leader reports,
// once, an end before places that reports show. They are still places of this stream.
func TestOddEndWithoutSnapshot(t *testing.T) {
	for nth := 1; nth <= 6; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.start()
			p.awaitSequence(10)
			p.locked(p.report)
			p.crash()
			p.before("info", nth, func() { p.falseInfo = &state{created: p.stream.created, first: 1, last: 5} })
			p.start()
			p.awaitSequence(10)
			<-time.After(15 * time.Second)
			if p.unread() != 0 {
				p.t.Errorf("info %d: %d incarnations", nth, p.unread())
			}
		})
	}
}
