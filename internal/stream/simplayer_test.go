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
	warmUp(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(4, &coverage{n: map[string]float64{}})
		w.harmless, w.log = false, slog.New(slog.DiscardHandler)
		p := &player{w, t}
		script(p)
		if w.problem == "" {
			w.settleDown()
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

// onInfo does something before each look from now on is answered, the first being
// number 1.
func (p *player) onInfo(do func(nth int)) {
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

// answerFalsely lets an old leader answer the nth look from now on. Something else
// happens before the next one.
func (p *player) answerFalsely(nth int, lie state, then func()) {
	p.locked(func() {
		p.hook = func(asked string) error {
			if asked == "look" {
				switch nth--; nth {
				case 0:
					p.falseInfo = &lie
				case -1:
					then()
				}
			}
			return nil
		}
	})
}

// awaitSequence waits until the reader has come to a sequence, and returns how long it
// took.
func (p *player) awaitSequence(seq uint64) time.Duration {
	p.t.Helper()
	return p.until(func() bool { return p.service.at.Sequence() == seq }, "sequence is read")
}

// awaitIncarnations waits until the reader has told of another incarnation.
func (p *player) awaitIncarnations(times int) time.Duration {
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

// firstAfterIncarnation is the first sequence read of another incarnation.
func (p *player) firstAfterIncarnation() uint64 {
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

func (p *player) wantLost(why roster.Loss, seqs ...uint64) {
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

// breakConsumer ends the consumer.
func (p *player) breakConsumer() {
	p.locked(func() {
		p.service.delivery.dead = true
		p.stream.notify()
	})
}

// silenceConsumer lets the consumer deliver no more, without a word.
func (p *player) silenceConsumer() {
	p.locked(func() {
		d := p.service.delivery
		d.dead, d.silent, d.lastHeard = true, true, time.Now()
	})
}

// saveSnapshot writes a snapshot to its end.
func (p *player) saveSnapshot() {
	p.snapshot()
	p.saving.Wait()
}

// publishReadSave reads a new stream of so many messages, and writes a snapshot.
func (p *player) publishReadSave(messages int) {
	p.t.Helper()
	p.publish(messages)
	p.start()
	p.awaitSequence(uint64(messages))
	p.saveSnapshot()
}
