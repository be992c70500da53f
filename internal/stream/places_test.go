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

// wantPlaces checks the places that were read, and what was lost.
func (r *run) wantPlaces(missing map[uint64]roster.Loss, places ...uint64) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.places, places) || fmt.Sprint(r.missing) != fmt.Sprint(missing) {
		r.t.Errorf("places are %v, want %v; missing %v, want %v", r.places, places, r.missing, missing)
	}
}

// TestFirstSequence: a stream with a configured first sequence has lost nothing before
// it: its first message gets place 1, or the next one.
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
	r.wantPlaces(none, 1, 2, 3)
	at, _ := r.end()
	if at.Base != -1_000_000 || at.Sequence() != 1_000_003 {
		t.Errorf("position %+v, sequence %d", at, at.Sequence())
	}
	s.publish(4, 4)
	r = s.read(at)
	r.await("message 4")
	r.wantPlaces(none, 4)
	if at, _ = r.end(); r.unread != 0 {
		t.Error("detected as another stream")
	}
	// The same for another stream.
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.create(first(501))
	s.publish(5, 6)
	r = s.read(at)
	r.await("message 6")
	r.wantPlaces(none, 5, 6)
	if at, _ := r.end(); at.Sequence() != 502 {
		t.Errorf("position %+v, sequence %d", at, at.Sequence())
	}
}

// TestNoPlaceAssignedTwice: no place is assigned twice, even if no snapshot has it: the
// last report or dead letter has it. If those cannot be read, reading does not begin.
func TestNoPlaceAssignedTwice(t *testing.T) {
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
	s.assigned = func(context.Context) ([]AssignedPlace, error) {
		if asked.Add(1) < 3 {
			return nil, errors.New("nobody answers")
		}
		return []AssignedPlace{{Place: 8, Sequence: 8}, {Place: 9, Sequence: 9}}, nil
	}
	r = s.read(at)
	r.await("message 7")
	r.wantPlaces(map[uint64]roster.Loss{5: roster.Recreated}, 10, 11)
	if asked.Load() != 4 || r.unread != 1 { // two errors, then at the start and for the new stream
		t.Errorf("asked %d times, %d incarnations", asked.Load(), r.unread)
	}
}

// TestAssignedInNewIncarnation: after a crash that followed the first places of the new
// stream, but came before a snapshot, its messages get the same places again.
func TestAssignedInNewIncarnation(t *testing.T) {
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
	s.assigned = func(context.Context) ([]AssignedPlace, error) {
		now := roster.TimeOf(time.Now())
		return []AssignedPlace{{Place: 12, Sequence: 3, Stored: now}, {Place: 10, Sequence: 1, Stored: now}, {Place: 9, Sequence: 9}}, nil
	}
	r = s.read(at)
	r.await("message 9")
	r.wantPlaces(map[uint64]roster.Loss{5: roster.Recreated}, 10, 11, 12, 13)
}

// TestAssignedWithoutSnapshot: after a crash before the first snapshot, the messages of
// the same stream get the same places again; places of another stream are not reused,
// and count as lost.
func TestAssignedWithoutSnapshot(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	now := roster.TimeOf(time.Now())
	assigned := []AssignedPlace{}
	s.assigned = func(context.Context) ([]AssignedPlace, error) { return assigned, nil }
	for _, c := range []struct {
		name     string
		assigned []AssignedPlace
		missing  map[uint64]roster.Loss
		first    uint64
		unread   int
	}{
		{"nothing", nil, map[uint64]roster.Loss{}, 1, 0},
		{"the same stream", []AssignedPlace{{Place: 4, Sequence: 4, Stored: now}}, map[uint64]roster.Loss{}, 1, 0},
		{"the same, after another", []AssignedPlace{{Place: 24, Sequence: 4, Stored: now}, {Place: 20, Sequence: 20}}, map[uint64]roster.Loss{0: roster.Recreated}, 25, 1},
		{"another", []AssignedPlace{{Place: 30, Sequence: 30}, {Place: 29, Sequence: 29}}, map[uint64]roster.Loss{0: roster.Recreated}, 31, 1},
	} {
		assigned = c.assigned
		r := s.read(roster.Position{})
		r.await("message 5")
		r.wantPlaces(c.missing, c.first, c.first+1, c.first+2, c.first+3, c.first+4)
		if r.end(); r.unread != c.unread {
			t.Errorf("%s: %d incarnations", c.name, r.unread)
		}
	}
}

// TestAssignedInCopy: the stream was restored from a backup, and no snapshot is left:
// its messages get their old places, unless it lacks a message that had one.
func TestAssignedInCopy(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	restore := s.backup()
	fourth, err := s.stream.GetMsg(t.Context(), 4)
	if err != nil {
		t.Fatal(err)
	}
	receipt, stored := roster.TimeOf(fourth.Time), roster.TimeOf(time.Now())
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	restore()
	for _, c := range []struct {
		assigned []AssignedPlace
		missing  map[uint64]roster.Loss
		first    uint64
	}{
		{[]AssignedPlace{{Place: 4, Sequence: 4, Stored: stored, Receipt: receipt}}, map[uint64]roster.Loss{}, 1},
		{[]AssignedPlace{{Place: 4, Sequence: 4, Stored: stored, Receipt: receipt + 1}}, map[uint64]roster.Loss{0: roster.Recreated}, 5},
		{[]AssignedPlace{{Place: 9, Sequence: 9, Stored: stored}, {Place: 4, Sequence: 4, Stored: stored, Receipt: receipt}}, map[uint64]roster.Loss{0: roster.Recreated}, 10},
	} {
		s.assigned = func(context.Context) ([]AssignedPlace, error) { return c.assigned, nil }
		r := s.read(roster.Position{})
		r.await("message 5")
		r.wantPlaces(c.missing, c.first, c.first+1, c.first+2, c.first+3, c.first+4)
	}
}

// TestAssignedInFork: a copy of the stream went on with other messages, and no snapshot is left.
// It has the message of one place that was assigned, and another one for a later place: places
// are not assigned again.
func TestAssignedInFork(t *testing.T) {
	play(t, func(p *player) {
		p.publish(5)
		p.start()
		p.awaitSequence(5)
		p.locked(p.report)
		p.locked(p.keepCopy)
		p.publish(3)
		p.awaitSequence(8)
		p.locked(p.report)
		p.crash()
		p.locked(func() { p.restoreRecreated(p.copies[0]) })
		p.publish(10)
		p.start()
		p.awaitSequence(15)
		p.locked(func() {
			if at := p.service.at; at.Place != 8+15 { // after the last one assigned
				p.t.Errorf("places up to %d", at.Place)
			}
		})
	})
}

// TestFilesRestored: the stream's files are restored to an older state, and no snapshot
// has what was read since: the messages that it no longer has are lost.
func TestFilesRestored(t *testing.T) {
	play(t, func(p *player) {
		p.publishReadSave(5)
		p.publish(7)
		p.awaitSequence(12)
		p.crash()
		p.fork(8)
		p.locked(func() {
			p.assigned = []AssignedPlace{{Place: 12, Sequence: 12, Stored: p.lastReceipt + 1}}
		})
		p.start()
		p.awaitIncarnations(1)
		p.publish(2)
		p.awaitSequence(10)
		p.locked(func() {
			if at := p.service.at; at.Place != 17 { // after the greatest one assigned
				p.t.Errorf("places up to %d, want 17", at.Place)
			}
		})
	})
}

// TestOtherStreamSinceSnapshot: another stream was read after the last snapshot, and
// then the first one is restored: the places of the other are not assigned again.
func TestOtherStreamSinceSnapshot(t *testing.T) {
	play(t, func(p *player) {
		p.publishReadSave(10)
		p.locked(p.keepCopy)
		p.locked(p.create)
		p.publish(5)
		p.awaitIncarnations(1)
		p.awaitSequence(5)
		p.locked(p.report)
		p.crash()
		p.locked(func() { p.restore(p.copies[0]) })
		p.start()
		p.awaitIncarnations(1)
		p.publish(2)
		p.awaitSequence(12)
		p.locked(func() {
			if st := p.service.roster.Status(); st.Position.Place != 17 || st.Fates[roster.Lost] != 5 {
				p.t.Errorf("places up to %d, lost %d; want 17, 5", st.Position.Place, st.Fates[roster.Lost])
			}
		})
	})
}

// TestCopySinceSnapshot: a copy of the stream, which continued from there, was read
// after the last snapshot, and then the first stream is restored: the places of the
// copy's messages are not assigned to others.
func TestCopySinceSnapshot(t *testing.T) {
	play(t, func(p *player) {
		p.publishReadSave(10)
		p.locked(func() {
			p.keepCopy()
			p.restoreRecreated(p.copies[0])
		})
		p.awaitIncarnations(1)
		p.publish(5)
		p.awaitSequence(15)
		p.locked(p.report)
		p.crash()
		p.locked(func() { p.restore(p.copies[0]) })
		p.publish(7)
		p.start()
		p.awaitIncarnations(1)
		p.awaitSequence(17)
		p.locked(func() {
			if place := p.service.at.Place; place != 22 {
				p.t.Errorf("places up to %d, want 22", place)
			}
		})
	})
}

// TestEditedFirstSequence: a first sequence that is configured later does not hide the
// messages before it.
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
	r.wantPlaces(map[uint64]roster.Loss{}, 1, 2, 3, 4, 5)
}

// TestUnreadIsLost: messages that the stream was known to have, but that were not read
// before it was replaced, are lost, and counted as such.
func TestUnreadIsLost(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.silenceConsumer()
		p.publish(20)
		<-time.After(6 * time.Second) // the watch has recorded the new tail
		p.locked(p.create)
		p.publish(5)
		p.awaitIncarnations(1)
		p.awaitSequence(5)
		p.locked(func() {
			if st := p.service.roster.Status(); st.Fates[roster.Lost] != 20 || st.Position.Place != 35 || st.Fates.Sum() != 35 {
				p.t.Errorf("fates %v at place %d", st.Fates, st.Position.Place)
			}
		})
	})
}

// TestNeverJudged: the messages of another stream, none of which was ever read, are
// judged as new.
func TestNeverJudged(t *testing.T) {
	play(t, func(p *player) {
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.locked(p.create)
		p.publish(5)
		p.awaitIncarnations(1)
		p.awaitSequence(5)
		p.locked(func() {
			if judged := p.service.at.Judged; judged != 0 {
				p.t.Errorf("judged up to %s", judged)
			}
		})
	})
}

// TestLossIsNotCatchingUp: if everything up to the target is lost, and the stream has
// more by then, the roster has caught up only once that is folded, or lost too.
func TestLossIsNotCatchingUp(t *testing.T) {
	reading := func() *reading {
		r := &reading{Reader: newReader(Config{Log: kit.Logger(t), Registry: prometheus.NewRegistry()}, nil), fold: func(*Batch) {}}
		r.target.Store(10)
		r.tail.Store(20)
		r.targetSet = true
		return r
	}
	for name, c := range map[string]struct {
		lost []uint64
		want bool
	}{
		"some": {[]uint64{5}, false}, "all up to the target, and there is more": {[]uint64{5, 15}, false}, "all": {[]uint64{15, 20}, true},
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

// TestWedgedDuringRetention: a connection on which no consumer delivers is reset, even
// while losses to retention move the position.
func TestWedgedDuringRetention(t *testing.T) {
	play(t, func(p *player) {
		p.retention = &retention{count: 10, every: 100 * time.Millisecond}
		p.publish(10)
		p.start()
		p.awaitSequence(10)
		p.locked(func() { p.wedged = true })
		p.awaitEnd("the connection was wedged", 45*time.Second)
	})
}
