package roster

import (
	"cmp"
	"iter"
	"slices"
	"strings"
	"time"
)

// Feed collects the arrivals and departures of users on machines, and what else reports
// show of machines and events change, for one reader.
// The fold never waits for the reader: when the feed is full, transitions are
// dropped, and Take reports it.
type Feed struct {
	r          *Roster
	maxPending int
	halfFull   chan struct{}
	pending    []transition // used by the fold only
	incomplete bool
	taken      []transition // used by the reader only
}

// transition is one arrival of a user on a machine, or one departure; without a user,
// another change of the machine.
type transition struct {
	user    string
	machine uint32 // its number
	event   uint32 // twice the number of the event, plus 1 for an arrival
}

func (t transition) arrived() bool { return t.event&1 == 1 }

// of reports whether an event of a machine caused it.
func (t transition) of(m *machine, event uint32) bool {
	return t.machine == m.number && t.event>>1 == event&(1<<31-1)
}

// Change is what changed on one machine between two calls of Take.
type Change struct {
	// Number identifies the machine as long as the roster lives. Numbers begin
	// with 1 and have no gaps, but may be reused for other machines after a Take
	// that was not complete.
	Number  uint32
	Machine string
	// Arrived are the users who are on at the place of the last call and were not at
	// the place of the call before; Left is the reverse. A user who arrived and left
	// between the two calls, or left and returned, is in neither.
	Arrived, Left []string
	// Users are those who are on. They and the fields below reflect every event up to
	// the place of the last call, and perhaps later ones, which the next call reports
	// too.
	Users []string
	// The others are those of the machine's View.
	Heard             Time
	Changed           time.Time
	Every             time.Duration
	Shown, Incomplete bool
	Missing           uint64
}

// OpenFeed opens the roster's feed, which has space for maxPending transitions
// between two calls of Take. It replaces an earlier feed, which then collects
// nothing more. Close it when done.
func (r *Roster) OpenFeed(maxPending int) *Feed {
	f := &Feed{r: r, maxPending: maxPending, halfFull: make(chan struct{}, 1)}
	r.fold.Lock()
	defer r.fold.Unlock()
	r.people.feed = f
	return f
}

// Close closes the feed. It may be called more than once.
func (f *Feed) Close() {
	f.r.fold.Lock()
	defer f.r.fold.Unlock()
	if f.r.people.feed == f {
		f.r.people.feed = nil
	}
}

// HalfFull returns a channel that receives a value when the feed is half full:
// Take should be called.
func (f *Feed) HalfFull() <-chan struct{} { return f.halfFull }

// Take takes the transitions since the last call, or since OpenFeed, up to the end
// of a batch, and returns that place. If complete is false, some were dropped
// because the feed was full, or machines were evicted and their numbers may be
// reused; then Changes yields nothing.
func (f *Feed) Take() (place uint64, complete bool) {
	clear(f.taken) // the names
	f.r.fold.Lock()
	f.pending, f.taken = f.taken[:0], f.pending
	place, complete = f.r.status.Position.Place, !f.incomplete
	f.incomplete = false
	f.r.fold.Unlock()
	if !complete {
		clear(f.taken)
		f.taken = f.taken[:0]
	}
	slices.SortStableFunc(f.taken, func(a, b transition) int {
		return cmp.Or(cmp.Compare(a.machine, b.machine), strings.Compare(a.user, b.user))
	})
	return place, complete
}

// Changes yields the changes of the last Take, in no particular order: the machines whose
// users changed or that reports began to show, and those of which an event changed Changed,
// Incomplete or Missing. It omits machines whose arrivals and departures cancel out within
// single events, such as a present that lists the users who were on before. A change is
// valid until the next one.
func (f *Feed) Changes() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		var c Change
		st := f.r.Status()
		for rest := f.taken; len(rest) > 0; {
			n := runOf(rest, func(p transition) bool { return p.machine == rest[0].machine })
			if c.read(rest[:n]) {
				c.readMachine(f.r, &st)
				if !yield(c) {
					return
				}
			}
			rest = rest[n:]
		}
	}
}

// read reads the transitions of one machine, sorted by user, and reports whether
// any of them was visible between two events, or concerns no user.
func (c *Change) read(all []transition) (seen bool) {
	c.Number, c.Arrived, c.Left = all[0].machine, c.Arrived[:0], c.Left[:0]
	for len(all) > 0 {
		n := runOf(all, func(p transition) bool { return p.user == all[0].user })
		if all[0].user == "" {
			seen, all = true, all[n:]
			continue
		}
		switch first, last := all[0].arrived(), all[n-1].arrived(); {
		case first && last:
			c.Arrived = append(c.Arrived, all[0].user)
		case !first && !last:
			c.Left = append(c.Left, all[0].user)
		}
		seen = seen || visible(all[:n])
		all = all[n:]
	}
	return seen
}

// visible reports whether any one event changed whether the user is on: then the
// first and last transition of that event have the same direction.
func visible(all []transition) bool {
	for len(all) > 0 {
		n := runOf(all, func(p transition) bool { return p.event>>1 == all[0].event>>1 })
		if all[0].arrived() == all[n-1].arrived() {
			return true
		}
		all = all[n:]
	}
	return false
}

// runOf returns how many of the first transitions satisfy f.
func runOf(all []transition, f func(transition) bool) int {
	if end := slices.IndexFunc(all, func(p transition) bool { return !f(p) }); end >= 0 {
		return end
	}
	return len(all)
}

// readMachine reads the machine as it is now.
func (c *Change) readMachine(r *Roster, st *Status) {
	m := r.fleet.machines.At(c.Number)
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	v := r.view(m, st)
	c.Machine, c.Users = v.Name(), v.AppendUsers(c.Users[:0])
	c.Heard, c.Changed, c.Every = v.Heard(), v.Changed(), v.Every()
	c.Shown, c.Incomplete, c.Missing = v.Shown(), v.Incomplete(), v.Missing()
}

// markIncomplete records that machines were evicted. It is for the fold.
func (f *Feed) markIncomplete() {
	if f != nil {
		f.incomplete = true
	}
}

// record records that a user arrived on a machine or left it. It is for the fold.
func (f *Feed) record(m *machine, user string, event uint32, came bool) {
	if f != nil {
		f.add(m, user, event, came)
	}
}

// touch records that an event changed what reports show of a machine, unless a transition
// of a user tells that the machine has changed. It is for the fold.
func (f *Feed) touch(m *machine, event uint32, was, is display) {
	if f == nil || !is.shown || was == is {
		return
	}
	// The event's only transition is visible; two may cancel out.
	//guard:set f.pending[n-2].of(m,event) false "what an event changes is in the feed though its transitions cancel out" TestFeedFields
	if n := len(f.pending); n > 0 && f.pending[n-1].of(m, event) && (n == 1 || !f.pending[n-2].of(m, event)) {
		return
	}
	f.add(m, "", event, true)
}

func (f *Feed) add(m *machine, user string, event uint32, came bool) {
	//guard:false "a slow reader of the feed does not fill the memory" TestFeed
	if len(f.pending) == f.maxPending {
		f.incomplete = true
		return
	}
	p := transition{user: user, machine: m.number, event: event << 1}
	if came {
		p.event++
	}
	f.pending = append(f.pending, p)
	if len(f.pending) == (f.maxPending+1)/2 {
		select {
		case f.halfFull <- struct{}{}:
		default:
		}
	}
}
