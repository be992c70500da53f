package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// wantsPlaces checks the places of what was read, and what was lost.
func (r *run) wantsPlaces(missing map[uint64]roster.Loss, places ...uint64) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.places, places) || fmt.Sprint(r.missing) != fmt.Sprint(missing) {
		r.t.Errorf("places are %v, want %v; missing %v, want %v", r.places, places, r.missing, missing)
	}
}

// TestFirstSequence: a stream that was made to begin anywhere has lost nothing
// before that: its first message has the first place, or the next one.
func TestFirstSequence(t *testing.T) {
	first := func(seq uint64) func(*jetstream.StreamConfig) {
		return func(c *jetstream.StreamConfig) { c.FirstSeq = seq }
	}
	none := map[uint64]roster.Loss{}
	s := newSetup(t, first(1_000_001))
	r := s.read(roster.Position{})
	kit.Eventually(t, r.CaughtUp, "caught up")
	s.publish(1, 3)
	r.await("message 3")
	r.wantsPlaces(none, 1, 2, 3)
	at, _ := r.end()
	if at.Base != -1_000_000 || at.Sequence() != 1_000_003 {
		t.Errorf("position %+v, sequence %d", at, at.Sequence())
	}
	s.publish(4, 4)
	r = s.read(at)
	r.await("message 4")
	r.wantsPlaces(none, 4)
	if at, _ = r.end(); r.unread != 0 {
		t.Error("taken for another stream")
	}
	// And where it is another.
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.create(first(501))
	s.publish(5, 6)
	r = s.read(at)
	r.await("message 6")
	r.wantsPlaces(none, 5, 6)
	if at, _ := r.end(); at.Sequence() != 502 {
		t.Errorf("position %+v, sequence %d", at, at.Sequence())
	}
}

// TestGiven: no place that was ever given is given again, though no snapshot has
// come so far: the last report or dead letter tells of it. That it can't be asked
// for is not that there is none.
func TestGiven(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	r := s.read(roster.Position{})
	r.await("message 5")
	at, _ := r.end()
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.create()
	s.publish(6, 7)
	var asked atomic.Int32
	s.given = func(context.Context) ([]Given, error) {
		if asked.Add(1) < 3 {
			return nil, errors.New("nobody answers")
		}
		return []Given{{Place: 8, Sequence: 8}, {Place: 9, Sequence: 9}}, nil
	}
	r = s.read(at)
	r.await("message 7")
	r.wantsPlaces(map[uint64]roster.Loss{5: roster.Recreated}, 10, 11)
	if asked.Load() != 4 || r.unread != 1 { // twice no answer, then at the start and of the new stream
		t.Errorf("asked %d times, %d incarnations", asked.Load(), r.unread)
	}
}

// TestGivenOfTheNewOne: a crash came after the first places of the new stream, and
// before a snapshot: what was read of it gets the same places again.
func TestGivenOfTheNewOne(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	r := s.read(roster.Position{})
	r.await("message 5")
	at, _ := r.end()
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.create()
	s.publish(6, 9)
	s.given = func(context.Context) ([]Given, error) {
		now := roster.TimeOf(time.Now())
		return []Given{{Place: 12, Sequence: 3, Stored: now}, {Place: 10, Sequence: 1, Stored: now}, {Place: 9, Sequence: 9}}, nil
	}
	r = s.read(at)
	r.await("message 9")
	r.wantsPlaces(map[uint64]roster.Loss{5: roster.Recreated}, 10, 11, 12, 13)
}

// TestGivenWithoutSnapshot: a crash came before the first snapshot. What was given
// of the same stream is given again to the same messages; what another one was
// given is not, and is lost.
func TestGivenWithoutSnapshot(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	now := roster.TimeOf(time.Now())
	told := []Given{}
	s.given = func(context.Context) ([]Given, error) { return told, nil }
	for _, c := range []struct {
		says    string
		told    []Given
		missing map[uint64]roster.Loss
		first   uint64
		unread  int
	}{
		{"nothing", nil, map[uint64]roster.Loss{}, 1, 0},
		{"the same stream", []Given{{Place: 4, Sequence: 4, Stored: now}}, map[uint64]roster.Loss{}, 1, 0},
		{"the same, after another", []Given{{Place: 24, Sequence: 4, Stored: now}, {Place: 20, Sequence: 20}}, map[uint64]roster.Loss{0: roster.Recreated}, 25, 1},
		{"another", []Given{{Place: 30, Sequence: 30}, {Place: 29, Sequence: 29}}, map[uint64]roster.Loss{0: roster.Recreated}, 31, 1},
	} {
		told = c.told
		r := s.read(roster.Position{})
		r.await("message 5")
		r.wantsPlaces(c.missing, c.first, c.first+1, c.first+2, c.first+3, c.first+4)
		if r.end(); r.unread != c.unread {
			t.Errorf("%s: %d incarnations", c.says, r.unread)
		}
	}
}

// TestGivenOfACopy: a stream was restored from a backup, and no snapshot is left:
// its messages get the places again that they had, unless it lacks some that had one.
func TestGivenOfACopy(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	restore := s.backup()
	fourth, err := s.stream.GetMsg(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	of, told := roster.TimeOf(fourth.Time), roster.TimeOf(time.Now())
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	restore()
	for _, c := range []struct {
		told    []Given
		missing map[uint64]roster.Loss
		first   uint64
	}{
		{[]Given{{Place: 4, Sequence: 4, Stored: told, Receipt: of}}, map[uint64]roster.Loss{}, 1},
		{[]Given{{Place: 4, Sequence: 4, Stored: told, Receipt: of + 1}}, map[uint64]roster.Loss{0: roster.Recreated}, 5},
		{[]Given{{Place: 9, Sequence: 9, Stored: told}, {Place: 4, Sequence: 4, Stored: told, Receipt: of}}, map[uint64]roster.Loss{0: roster.Recreated}, 10},
	} {
		s.given = func(context.Context) ([]Given, error) { return c.told, nil }
		r := s.read(roster.Position{})
		r.await("message 5")
		r.wantsPlaces(c.missing, c.first, c.first+1, c.first+2, c.first+3, c.first+4)
	}
}

// TestPutBack: the files of a stream are put back as they were before it was read,
// and no snapshot has come so far: what it has no more is lost.
func TestPutBack(t *testing.T) {
	play(t, func(p *player) {
		p.readsAndSaves(5)
		p.publish(7)
		p.reads(12)
		p.crash()
		p.fork(8)
		p.locked(func() {
			p.given = []Given{{Place: 12, Sequence: 12, Stored: p.last + 1}}
		})
		p.start()
		p.rebases(1)
		p.publish(2)
		p.reads(10)
		p.locked(func() {
			if at := p.service.at; at.Place != 17 { // after the greatest that was given
				p.t.Errorf("places up to %d, want 17", at.Place)
			}
		})
	})
}

// TestAnotherSince: after the last snapshot another stream was read, and then the
// first is put back as it was: the places of the other are not given again.
func TestAnotherSince(t *testing.T) {
	play(t, func(p *player) {
		p.readsAndSaves(10)
		p.locked(p.keepCopy)
		p.locked(p.create)
		p.publish(5)
		p.rebases(1)
		p.reads(5)
		p.locked(p.report)
		p.crash()
		p.locked(func() { p.restore(p.copies[0]) })
		p.start()
		p.rebases(1)
		p.publish(2)
		p.reads(12)
		p.locked(func() {
			if st := p.service.roster.Status(); st.Position.Place != 17 || st.Fates[roster.Lost] != 5 {
				p.t.Errorf("places up to %d, lost %d; want 17, 5", st.Position.Place, st.Fates[roster.Lost])
			}
		})
	})
}

// TestCopySince: after the last snapshot a copy of the stream was read, which went on
// where that was, and then the first is put back: the places that messages of the
// copy were given are not given to others.
func TestCopySince(t *testing.T) {
	play(t, func(p *player) {
		p.readsAndSaves(10)
		p.locked(func() {
			p.keepCopy()
			p.restoreAnew(p.copies[0])
		})
		p.rebases(1)
		p.publish(5)
		p.reads(15)
		p.locked(p.report)
		p.crash()
		p.locked(func() { p.restore(p.copies[0]) })
		p.publish(7)
		p.start()
		p.rebases(1)
		p.reads(17)
		p.locked(func() {
			if place := p.service.at.Place; place != 22 {
				p.t.Errorf("places up to %d, want 22", place)
			}
		})
	})
}

// TestEditedFirstSequence: a stream with messages that is configured to begin later
// has them all the same.
func TestEditedFirstSequence(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	config := s.stream.CachedInfo().Config
	config.FirstSeq = 1000
	if _, err := s.js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
	r := s.read(roster.Position{})
	r.await("message 5")
	r.wantsPlaces(map[uint64]roster.Loss{}, 1, 2, 3, 4, 5)
}

// TestUnreadIsLost: what a stream had that was seen there, and not read, is lost
// with it, and has its fate.
func TestUnreadIsLost(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.silences()
		p.publish(20)
		<-time.After(6 * time.Second) // the watch has seen them
		p.locked(p.create)
		p.publish(5)
		p.rebases(1)
		p.reads(5)
		p.locked(func() {
			if st := p.service.roster.Status(); st.Fates[roster.Lost] != 20 || st.Position.Place != 35 || st.Fates.Sum() != 35 {
				p.t.Errorf("fates %v at place %d", st.Fates, st.Position.Place)
			}
		})
	})
}

// TestNeverJudged: another stream, none of whose messages was ever read, is judged
// as new.
func TestNeverJudged(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(p.create)
		p.publish(5)
		p.rebases(1)
		p.reads(5)
		p.locked(func() {
			if judged := p.service.at.Judged; judged != 0 {
				p.t.Errorf("judged up to %s", judged)
			}
		})
	})
}

// TestLosingIsNotPassing: what was to be passed is lost, and there is more: the
// roster has caught up when that is passed, or lost too.
func TestLosingIsNotPassing(t *testing.T) {
	reading := func() *reading {
		r := &reading{Reader: newReader(Config{Log: kit.Logger(t), Registry: prometheus.NewRegistry()}, nil), fold: func(*Batch) {}}
		r.target.Store(10)
		r.tail.Store(20)
		r.aimed = true
		return r
	}
	for name, c := range map[string]struct {
		lost []uint64
		want bool
	}{
		"some": {[]uint64{5}, false}, "all that was there, and more has come": {[]uint64{5, 15}, false}, "all": {[]uint64{15, 20}, true},
	} {
		r := reading()
		for _, through := range c.lost {
			r.lose(through, roster.Truncated)
		}
		if got := r.CaughtUp(); got != c.want {
			t.Errorf("%s: caught up %v", name, got)
		}
	}
}

// TestWedgedAtRetention: a connection on which no consumer delivers is made anew,
// though the position moves with what the stream loses.
func TestWedgedAtRetention(t *testing.T) {
	play(t, func(p *player) {
		p.retention = &retention{count: 10, every: 100 * time.Millisecond}
		p.publish(10)
		p.start()
		p.reads(10)
		p.locked(func() { p.wedged = true })
		p.comesToTheEnd("the connection was wedged", 45*time.Second)
	})
}
