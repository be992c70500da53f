package history

import (
	"context"
	"math"
	"slices"

	"rollcall/internal/roster"
)

// CountSpan is a span of time and a step. The question is how many were on at each moment
// in the span that is a whole number of steps after 1970-01-01T00:00:00Z. So a question
// that is asked again a minute later is about the same moments.
type CountSpan struct {
	// From and To are both inclusive.
	From, To roster.Time
	Step     roster.Time
}

// Count is how many users, machines in use and sessions were on at a moment. Stays whose
// beginning is unknown don't count.
type Count struct {
	At                        roster.Time
	Users, Machines, Sessions int
}

// points returns the first and the last point that are asked about.
func (q *CountSpan) points() (first, last int64) {
	return pointOf(q.From, q.Step), int64(q.To / q.Step)
}

// Len returns how many moments are asked about.
func (q *CountSpan) Len() int64 {
	first, last := q.points()
	return max(0, last-first+1)
}

// counts keeps the results of earlier questions. It answers one question at a time: when
// many ask the same, only the first has to count.
type counts struct {
	sweepLimits
	busy   chan struct{} // full while a question is answered
	series []*series     // the last used first
	sweeps int           // begun from the database
}

func newCounts() counts {
	return counts{sweepLimits: defaultSweepLimits, busy: make(chan struct{}, 1)}
}

// series is what was counted at points that follow each other, as of a transaction.
type series struct {
	step         roster.Time
	transactions *transactions
	number       uint64 // of the last of them that is in it
	first        int64
	tallies      []tally
	sweep        *sweep // goes on with it; nil: none is kept
}

const (
	// maxSeries is how many series are kept; one of them has a sweep.
	maxSeries = 8
	// maxTallies is how many points a series keeps.
	maxTallies = 10_000
)

// next returns the point after those that were counted.
func (s *series) next() int64 { return s.first + int64(len(s.tallies)) }

// Counts calls show with how many were on at each moment of a span. What was counted for
// earlier questions and is the same now is not counted again. After an error
// the next question goes on where this one ended.
func (h *History) Counts(ctx context.Context, q *CountSpan, show func(*View, []Count) error) error {
	select {
	case h.counts.busy <- struct{}{}:
		defer func() { <-h.counts.busy }()
	case <-ctx.Done():
		return ctx.Err()
	}
	err := h.View(ctx, func(v *View) error {
		h.mu.Lock()
		transactions := h.transactions
		h.mu.Unlock()
		list, err := h.counts.count(v, transactions, q)
		if err != nil {
			return err
		}
		return show(v, list)
	})
	if err != nil && ctx.Err() != nil {
		return ctx.Err() // SQLite has its own error for that
	}
	return err
}

// count counts. transactions are those of the view's file.
func (c *counts) count(v *View, transactions *transactions, q *CountSpan) ([]Count, error) {
	first, last := q.points()
	if first > last {
		return nil, nil
	}
	s := c.find(v, transactions, q.Step, first)
	if err := c.extend(v, s, last); err != nil {
		s.sweep = nil // it may have stopped between two changes
		return nil, err
	}
	list := make([]Count, 0, last-first+1)
	for i, t := range s.tallies[first-s.first : last+1-s.first] {
		at := q.Step * roster.Time(first+int64(i))
		list = append(list, Count{at, int(t.users), int(t.machines), int(t.sessions)})
	}
	s.forget(first)
	return list, nil
}

// find returns a series, as of the view, that has a point or ends just before it: one
// that is kept, or a new one.
func (c *counts) find(v *View, transactions *transactions, step roster.Time, point int64) *series {
	for i := 0; i < len(c.series); i++ {
		s := c.series[i]
		//guard:drop "s.transactions != transactions" "what was counted of another file is forgotten" TestCountsGoOn
		if s.transactions != transactions || s.step == step && !s.update(v.Transactions) {
			c.series = slices.Delete(c.series, i, i+1)
			i--
			continue
		}
		if s.step == step && s.first <= point && point <= s.next() {
			c.series = slices.Insert(slices.Delete(c.series, i, i+1), 0, s)
			return s
		}
	}
	s := &series{step: step, transactions: transactions, number: v.Transactions, first: point}
	c.series = slices.Insert(c.series, 0, s)
	c.series = c.series[:min(len(c.series), maxSeries)]
	return s
}

// update brings a series up to a transaction. It keeps the counts before the first point
// at which something changed. It reports false if it is not known what did.
func (s *series) update(number uint64) bool {
	list, ok := s.transactions.between(s.number, number)
	if !ok {
		return false
	}
	s.number = number
	changed := int64(math.MaxInt64)
	eachShift(list, s.step, func(from int64, c shift) {
		changed = min(changed, from)
		if s.sweep != nil {
			s.sweep.shift(from, c)
		}
	})
	if s.sweep != nil {
		s.sweep.trim()
	}
	//guard:set "changed < s.next()" false "a late event changes what was counted" TestCountsGoOn
	if changed < s.next() {
		s.tallies = s.tallies[:max(0, changed-s.first)]
	}
	return true
}

// extend counts up to a point.
func (c *counts) extend(v *View, s *series, last int64) (err error) {
	if s.next() > last {
		return nil
	}
	//guard:drop "s.next() < s.sweep.low" "a sweep goes back no further than it can" TestCounts
	if s.sweep == nil || s.next() < s.sweep.low {
		for _, other := range c.series {
			other.sweep = nil
		}
		c.sweeps++
		if s.sweep, err = newSweep(v, c.sweepLimits, s.step, s.next()); err != nil {
			return err
		}
	}
	for point := s.next(); point <= last; point++ {
		if err := s.sweep.moveTo(v, point); err != nil {
			return err
		}
		s.tallies = append(s.tallies, s.sweep.tally())
	}
	if err := s.sweep.readRest(v); err != nil {
		return err
	}
	if !s.sweep.all {
		s.sweep = nil
	}
	return nil
}

// forget forgets the oldest counts, before a point, while there are too many.
func (s *series) forget(before int64) {
	if n := min(int64(len(s.tallies)-maxTallies), before-s.first); n > 0 {
		s.tallies = slices.Clone(s.tallies[n:])
		s.first += n
	}
}
