package history

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// counted counts by the definition.
func counted(all []MachineStay, q *CountSpan) []Count {
	var list []Count
	for at := roster.Time(0); at <= q.To; at += q.Step {
		if at < q.From {
			continue
		}
		c := Count{At: at}
		users, machines := map[string]bool{}, map[string]bool{}
		for i := range all {
			if s := &all[i]; s.On(at) {
				c.Sessions++
				users[s.Session.User], machines[s.Machine] = true, true
			}
		}
		c.Users, c.Machines = len(users), len(machines)
		list = append(list, c)
	}
	return list
}

// countSpan draws a span to count in.
func countSpan(t *rapid.T) *CountSpan {
	q := &CountSpan{From: moment(t, "count from"), To: moment(t, "count to"), Step: minute * roster.Time(rapid.SampledFrom([]int{1, 1, 2, 7}).Draw(t, "step"))}
	if q.From > q.To {
		q.From, q.To = q.To, q.From
	}
	return q
}

// counter asks a world how many were on, and keeps what was counted.
type counter struct {
	*world
	counts
	transactions *transactions
	kept         int // questions that were answered by what was counted before
}

func newCounter(w *world) *counter {
	c := &counter{world: w, counts: newCounts(), transactions: new(transactions)}
	c.sweepLimits = sweepLimits{mostShifts: rapid.SampledFrom([]int{1, 5, 50}).Draw(w.t, "shifts"), mostAhead: rapid.SampledFrom([]int{1, 5, 1000}).Draw(w.t, "ahead")}
	return c
}

func (c *counter) write(b *batch) {
	if err := c.w.write([]*batch{b}); err != nil {
		c.t.Fatal(err)
	}
	c.transactions.add(c.w.last)
}

// replace goes on with a new file.
func (c *counter) replace(path string) {
	if err := c.w.c.Close(); err != nil {
		c.t.Fatal(err)
	}
	c.world, c.transactions = newWorld(c.t, path), new(transactions)
}

// feed writes events of one machine.
func (c *counter) feed(events []roster.Event) {
	b := &batch{settings: c.settings, first: 1, receipt: 1}
	for _, e := range events {
		e.Machine = "web1"
		c.place++
		c.accepted[e.Machine] = append(c.accepted[e.Machine], e)
		b.events = append(b.events, Accepted{c.place, e})
	}
	b.end.Place = c.place
	c.write(b)
}

func (c *counter) reopen() {
	c.world.reopen()
	c.transactions = new(transactions)
}

func (c *counter) ask(q *CountSpan) {
	before := c.sweeps
	var got []Count
	c.view(func(v *View) {
		var err error
		if got, err = c.count(v, c.transactions, q); err != nil {
			c.t.Fatal(err)
		}
	})
	if want := counted(c.told(), q); !slices.Equal(got, want) || q.Len() != int64(len(want)) {
		c.t.Fatalf("%+v: got %d\n%+v\nwant\n%+v", q, q.Len(), got, want)
	}
	if c.sweeps == before && len(got) > 0 {
		c.kept++
	}
	for _, s := range c.series {
		c.checkBounds(s.sweep)
	}
}

// checkBounds checks that a sweep keeps no more than it may.
func (c *counter) checkBounds(s *sweep) {
	if s == nil {
		return
	}
	size, ahead := 0, 0
	for from, shifts := range s.shifts {
		if size += len(shifts); from > s.at {
			ahead += len(shifts)
		}
		if from <= s.low {
			c.t.Fatalf("shifts from %d on, and it can go back to %d", from, s.low)
		}
	}
	if size != s.size || size > max(s.mostShifts, ahead) {
		c.t.Fatalf("%d shifts, %d of them ahead; counted %d, at most %d", size, ahead, s.size, s.mostShifts)
	}
}

// interrupt begins to answer a question, and is interrupted.
func (c *counter) interrupt(q *CountSpan) {
	c.view(func(v *View) {
		now := make(chan struct{})
		close(now)
		v.c.SetInterrupt(now)
		defer v.c.SetInterrupt(nil)
		sweeps := c.sweeps
		if _, err := c.count(v, c.transactions, q); (err != nil) != (c.sweeps > sweeps) {
			c.t.Fatalf("%d sweeps, %v", c.sweeps-sweeps, err)
		}
	})
}

// TestCounts: whatever is written between questions, how many were on at each moment is
// what the definition says, although most of it was counted for earlier questions.
func TestCounts(t *testing.T) {
	n, kept := 0, 0
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		if n++; n%share != 0 {
			return
		}
		c := newCounter(newWorld(t, filepath.Join(dir, fmt.Sprint(n))))
		defer func() { c.w.c.Close() }()
		c.write(c.batch())
		q := countSpan(t)
		c.ask(q)
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			if rapid.IntRange(0, 9).Draw(t, "reopen") == 0 {
				c.reopen()
			}
			c.write(c.batch())
			if rapid.IntRange(0, 3).Draw(t, "another") == 0 {
				q = countSpan(t)
			}
			q.To += minute * roster.Time(rapid.IntRange(0, 3).Draw(t, "later"))
			if rapid.IntRange(0, 4).Draw(t, "interrupt") == 0 {
				c.interrupt(q)
			}
			c.ask(q)
		}
		kept += c.kept
	})
	if kept == 0 {
		t.Error("no question was answered by what was counted before")
	}
}

// TestCountsGoOn: what was counted before is not counted again, whatever is written
// meanwhile. A late event changes it, and it is of no use for another file.
func TestCountsGoOn(t *testing.T) {
	told := func(kind roster.Type, at int, user string) roster.Event {
		return roster.Event{Date: minute * roster.Time(at), Type: kind, Session: roster.Session{User: user}}
	}
	login := func(at int, user string) roster.Event { return told(roster.Login, at, user) }
	logout := func(at int, user string) roster.Event { return told(roster.Logout, at, user) }
	steps := []struct {
		to, sweeps int
		events     []roster.Event
	}{
		{110, 1, []roster.Event{login(100, "alice"), login(100, "bob"), login(105, "carol")}},
		{110, 1, nil},
		{111, 1, []roster.Event{logout(111, "bob")}},
		{115, 1, []roster.Event{login(112, "bob"), logout(113, "alice"), logout(125, "bob")}},
		{115, 1, []roster.Event{login(111, "dave")}}, // late
		{112, 1, []roster.Event{logout(114, "carol")}},
		{130, 1, nil},
		{130, 2, []roster.Event{logout(101, "alice")}}, // before the shifts that are kept
		{140, 2, []roster.Event{login(135, "alice"), logout(138, "alice")}},
	}
	n := 0
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		n++
		c := newCounter(newWorld(t, filepath.Join(dir, fmt.Sprint(n))))
		defer func() { c.w.c.Close() }()
		c.sweepLimits, c.settings.AllowedLateness = sweepLimits{mostShifts: 4, mostAhead: 100}, time.Hour
		for i, step := range steps {
			c.feed(step.events)
			c.ask(&CountSpan{100 * minute, minute * roster.Time(step.to), minute})
			if c.sweeps != step.sweeps {
				t.Fatalf("%d: %d sweeps, want %d", i, c.sweeps, step.sweeps)
			}
		}
		c.replace(filepath.Join(dir, fmt.Sprint(n, " replaced")))
		for range steps {
			c.feed(nil)
		}
		c.ask(&CountSpan{100 * minute, 140 * minute, minute})
	})
}

// TestCountsInBounds: of what was counted only so much is kept.
func TestCountsInBounds(t *testing.T) {
	s := &series{first: 5, tallies: make([]tally, maxTallies+10)}
	for _, c := range []struct{ before, first int64 }{{8, 8}, {5, 8}, {100, 15}, {100, 15}} {
		next := s.next()
		if s.forget(c.before); s.first != c.first || s.next() != next {
			t.Errorf("before %d: from %d to %d, want from %d to %d", c.before, s.first, s.next(), c.first, next)
		}
	}
}

func TestTransactions(t *testing.T) {
	var r transactions
	for i, c := range []struct {
		number      uint64
		deltas      int
		after, upTo uint64
		want        int // -1: not known
	}{
		{7, 1, 6, 7, 1},
		{8, 1, 6, 8, 2},
		{8, 1, 6, 8, 2}, // reported twice
		{9, 0, 7, 8, 1},
		{10, 1, 5, 10, -1},
		{11, 1, 10, 12, -1},
		{12, 1, 12, 12, 0},
		{14, 1, 13, 14, 1},
		{15, 1, 12, 15, -1}, // 13 is missing
		{16, 1, 15, 14, -1},
		{17, maxDeltas - 10, 13, 17, 4},
		{18, 10, 13, 18, -1},
		{19, maxDeltas, 18, 19, -1},
		{20, 1, 19, 20, 1},
	} {
		r.add(transaction{c.number, make([]delta, c.deltas)})
		list, ok := r.between(c.after, c.upTo)
		if ok != (c.want >= 0) || ok && len(list) != c.want {
			t.Errorf("%d: after %d up to %d: %d transactions, %v, want %d", i, c.after, c.upTo, len(list), ok, c.want)
		}
	}
}
