package stream

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// TestDeletedInEarlierIncarnation: sequences deleted in one incarnation are not
// deleted in the next.
func TestDeletedInEarlierIncarnation(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.stream.remove(4)
		p.stream.remove(5)
		p.start()
		p.awaitSequence(10)
		p.wantLost(roster.Deleted, 4, 5)
		p.locked(func() {
			p.create()
			p.stream.hidden[4], p.stream.hidden[5] = true, true
		})
		p.publish(10)
		p.awaitIncarnations(1)
		p.awaitSequence(10)
		p.wantLost(roster.Deleted, 4, 5)
	})
}

// TestReasons: each message of a gap is lost for its own reason.
func TestReasons(t *testing.T) {
	play(t, func(p *player) {
		p.publish(20)
		p.locked(func() {
			l := p.stream
			l.remove(3)
			l.gone[4], l.hidden[5], l.gone[6], l.gone[7] = true, true, true, true
			l.remove(8)
			l.gone[9] = true
		})
		p.start()
		p.awaitSequence(20)
		p.wantLost(roster.Deleted, 3, 8)
		p.wantLost(roster.Gap, 4, 6, 7, 9)
	})
}

// TestHiddenTail: the last messages of a stream are read even if no consumer delivers
// them and no later message shows the gap.
func TestHiddenTail(t *testing.T) {
	play(t, func(p *player) {
		p.publish(20)
		p.locked(func() { p.stream.hidden[19], p.stream.hidden[20] = true, true })
		p.start()
		p.awaitSequence(20)
	})
}

// TestStreamChangesDuringGapCheck: if the stream changes while a gap is checked,
// the lost messages get the reason of that change.
func TestStreamChangesDuringGapCheck(t *testing.T) {
	happens := map[string]func(p *player){
		"truncated": func(p *player) { p.stream.setFirst(8); p.removed = time.Now() },
		"recreated": func(p *player) { p.create() },
		"recreated and purged": func(p *player) {
			p.create()
			p.stream.last, p.stream.first, p.stream.history = 100, 101, make([]*simMessage, 100)
		},
		"cut off": func(p *player) { p.cutTo(4) },
	}
	for name, happen := range happens {
		for _, what := range []string{"info", "deleted", "get"} {
			for nth := 1; nth <= 4; nth++ {
				play(t, func(p *player) {
					created := p.stream.created
					p.publish(3)
					p.start()
					p.awaitSequence(3)
					p.locked(func() {
						flawed := p.stream.gone
						if name == "truncated" {
							flawed = p.stream.hidden
						}
						for seq := uint64(5); seq < 8; seq++ {
							flawed[seq] = true
						}
						p.service.delivery.fault = consumerFault{faultSkip, 1}
					})
					p.before(what, nth, func() { happen(p) })
					p.publish(8)
					<-time.After(25 * time.Second)
					p.locked(func() {
						if name == "truncated" && len(p.lost(roster.Gap)) > 0 {
							p.t.Errorf("%s before %s %d: messages lost as a gap", name, what, nth)
						}
						for _, e := range p.service.log {
							if e.lost > 0 && e.why == roster.Truncated && e.created == created && name != "truncated" {
								p.t.Errorf("%s before %s %d: lost as truncated: %d from %d", name, what, nth, e.lost, e.seq)
							}
						}
					})
				})
			}
		}
	}
}

// TestEndCutOffDuringGapCheck: sequences behind the new end of the stream are not
// lost, but still to come.
func TestEndCutOffDuringGapCheck(t *testing.T) {
	for nth := 1; nth <= 6; nth++ {
		play(t, func(p *player) {
			p.publish(4)
			p.start()
			p.awaitSequence(4)
			p.locked(func() { p.stream.gone[5], p.stream.gone[6], p.stream.gone[7] = true, true, true })
			p.before("info", nth, func() {
				p.cutTo(6)
				p.hook = func(what string) error {
					for what == "consume" && p.stream.last < 20 {
						p.storeOne()
					}
					return nil
				}
			})
			p.publish(6)
			p.breakConsumer()
			<-time.After(40 * time.Second)
			p.locked(func() {
				if p.stream.id > 1 && slices.Contains(p.lost(roster.Gap), 7) {
					p.t.Errorf("info %d: sequence 7 was given up", nth)
				}
			})
		})
	}
}

// TestEndCutOffBetweenGapChecks: a stream loses its end during one check of a gap,
// and has as many messages again by the next. An old leader that then answers once
// that a message is missing is not enough to give it up.
func TestEndCutOffBetweenGapChecks(t *testing.T) {
	for cutAt := 1; cutAt <= 10; cutAt++ {
		for oddAt := 1; oddAt <= 10; oddAt++ {
			play(t, func(p *player) {
				p.publish(10)
				p.start()
				p.awaitSequence(10)
				gets, since := 0, 0 // since the stream has as much again
				p.locked(func() {
					for seq := uint64(11); seq <= 18; seq++ {
						p.stream.hidden[seq] = true
					}
					var cut time.Time
					p.hook = func(what string) error {
						if !cut.IsZero() && p.stream.last == 14 && time.Since(cut) > confirmAfter/2 {
							for range 5 {
								p.storeOne()
							}
						}
						if what != "get" {
							return nil
						}
						if gets++; gets == cutAt {
							cut = time.Now()
							p.cutTo(14)
						}
						if p.stream.last > 14 && !cut.IsZero() {
							since++
							p.oddGet = since == oddAt
						}
						return nil
					}
				})
				p.publish(9)
				<-time.After(time.Minute)
				p.wantLost(roster.Gap)
			})
		}
	}
}

// TestForkDuringFetch: a message that is requested because three consumers did not
// deliver it is not folded into this incarnation if the stream was replaced
// meanwhile.
func TestForkDuringFetch(t *testing.T) {
	for nth := 1; nth <= 8; nth++ {
		play(t, func(p *player) {
			p.publish(10)
			p.start()
			p.awaitSequence(10)
			p.locked(func() {
				p.stream.hidden[11] = true
				p.wedged = true
			})
			p.publish(1)
			<-time.After(3*stallAfter - time.Second)
			p.before("get", nth, func() {
				p.cutTo(5)
				for range 8 {
					p.storeOne()
				}
			})
			p.awaitIncarnations(1)
			p.awaitSequence(13)
		})
	}
}

// TestOutageDuringGapCheck: an outage during a check does not make messages missing.
func TestOutageDuringGapCheck(t *testing.T) {
	for nth := 1; nth <= 8; nth++ {
		play(t, func(p *player) {
			p.publish(3)
			p.start()
			p.awaitSequence(3)
			p.locked(func() {
				p.stream.gone[5] = true
				p.stream.hidden[6], p.stream.hidden[7] = true, true
			})
			p.before("get", nth, func() { p.outageUntil = time.Now().Add(3 * time.Second) })
			p.publish(5)
			p.awaitSequence(8)
			p.wantLost(roster.Gap, 5)
		})
	}
}

// TestOddReason: if an old leader reports, once, a later first sequence or no
// messages at all, a gap does not become a truncation.
func TestOddReason(t *testing.T) {
	for _, lie := range []state{{first: 14, last: 15}, {first: 16, last: 15}} {
		for nth := 1; nth <= 12; nth++ {
			play(t, func(p *player) {
				lie.created = p.stream.created
				p.publish(10)
				p.start()
				p.awaitSequence(10)
				p.locked(func() { p.stream.gone[12] = true })
				p.before("info", nth, func() { p.falseInfo = &lie })
				p.publish(5)
				p.awaitSequence(15)
				p.wantLost(roster.Gap, 12)
				p.wantLost(roster.Truncated)
			})
		}
	}
}

// TestUnansweredGet: a message is not missing because requests for it fail, while all
// others are answered.
func TestUnansweredGet(t *testing.T) {
	play(t, func(p *player) {
		p.publish(3)
		p.start()
		p.awaitSequence(3)
		gets := 0
		p.locked(func() {
			p.stream.gone[5], p.stream.hidden[6], p.stream.hidden[7] = true, true, true
			p.hook = func(what string) error {
				if what == "get" && p.service.at.Sequence() >= 4 {
					if gets++; gets > 2 && gets < 20 {
						return errNoResponders
					}
				}
				return nil
			}
		})
		p.publish(5)
		p.awaitSequence(8)
		p.wantLost(roster.Gap, 5)
	})
}

// TestNoNeedlessWaits: the reader does not wait where nothing is in doubt.
func TestNoNeedlessWaits(t *testing.T) {
	play(t, func(p *player) { // many deleted messages
		p.publish(200)
		for seq := uint64(2); seq < 200; seq += 2 {
			p.stream.remove(seq)
		}
		p.start()
		p.within(p.awaitSequence(200), time.Second)
	})
	play(t, func(p *player) { // the last message is deleted
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.locked(func() {
			p.service.delivery.dead = true
			p.storeOne()
			p.stream.remove(11)
		})
		p.within(p.awaitSequence(11), time.Second)
	})
	play(t, func(p *player) { // truncated while nothing is delivered
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.locked(func() { p.wedged = true })
		p.publish(10)
		p.locked(func() { p.stream.setFirst(16) })
		p.within(p.until(func() bool { return len(p.lost(roster.Truncated)) == 5 }, "the truncation is reported"), 9*time.Second)
	})
	play(t, func(p *player) { // deleted while a consumer is idle, and the server sends no status
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.silenceConsumer()
		p.locked(func() { p.replaceStream(nil) })
		p.within(p.until(func() bool { return p.stream != nil }, "the stream is created"), 9*time.Second)
	})
}
