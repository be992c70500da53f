package stream

import (
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"rollcall/internal/roster"
)

// play runs a script against a stream and a service of its own, then lets the world
// settle, and checks the end state.
func play(t *testing.T, script func(p *player)) {
	warmUp(t)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(4, &coverage{n: map[string]float64{}})
		w.harmless, w.log, w.sites, w.settings.Sources = false, slog.New(slog.DiscardHandler), nil, ""
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

// player is the world as a script drives it.
type player struct {
	*world
	t *testing.T
}

// before runs do before the nth request of a kind from now on is answered.
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

// onInfo runs do before each info request from now on is answered, counting from 1.
func (p *player) onInfo(do func(nth int)) {
	nth := 0
	p.locked(func() {
		p.hook = func(asked string) error {
			if asked == "info" {
				nth++
				do(nth)
			}
			return nil
		}
	})
}

// answerFalsely makes an old leader answer the nth info request from now on, and
// runs then before the one after it.
func (p *player) answerFalsely(nth int, lie state, then func()) {
	p.locked(func() {
		p.hook = func(asked string) error {
			if asked == "info" {
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

// awaitSequence waits until the reader is at a sequence, and returns how long it took.
func (p *player) awaitSequence(seq uint64) time.Duration {
	p.t.Helper()
	return p.until(func() bool { return p.service.at.Sequence() == seq }, "the sequence is read")
}

// awaitIncarnations waits until the reader has reported so many other incarnations.
func (p *player) awaitIncarnations(times int) time.Duration {
	p.t.Helper()
	return p.until(func() bool { return p.unread() == times }, "another incarnation is reported")
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
		p.t.Errorf("timed out waiting until %s; at sequence %d: %s", what, p.service.at.Sequence(), p.problem)
	})
	return 0
}

// unread is how many other incarnations the service has reported.
func (p *player) unread() int {
	n := 0
	for _, e := range p.service.log {
		if e.unread {
			n++
		}
	}
	return n
}

// firstAfterIncarnation returns the first sequence read in another incarnation.
func (p *player) firstAfterIncarnation() uint64 {
	log := p.service.log
	i := slices.IndexFunc(log, func(e entry) bool { return e.unread })
	return log[i+1].seq
}

// lost returns the sequences that were lost for a reason.
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

// within checks a duration against its limit.
func (p *player) within(took, limit time.Duration) {
	p.t.Helper()
	if took > limit {
		p.t.Errorf("it took %v, want at most %v", took, limit)
	}
}

// fork replaces the stream with an older copy that ends at a sequence.
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

// silenceConsumer makes the consumer deliver nothing any more, without a status.
func (p *player) silenceConsumer() {
	p.locked(func() {
		d := p.service.delivery
		d.dead, d.silent, d.lastHeard = true, true, time.Now()
	})
}

// saveSnapshot writes a snapshot and waits for it.
func (p *player) saveSnapshot() {
	p.snapshot()
	p.saving.Wait()
}

// publishReadSave publishes messages to a new stream, reads them, and writes a
// snapshot.
func (p *player) publishReadSave(messages int) {
	p.t.Helper()
	p.publish(messages)
	p.start()
	p.awaitSequence(uint64(messages))
	p.saveSnapshot()
}
