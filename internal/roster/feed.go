package roster

import (
	"cmp"
	"iter"
	"slices"
	"strings"
)

// Feed collects the arrivals and departures of users on machines, for one reader.
// Without a feed the fold does nothing for it. The fold never waits for the
// reader: when the feed is full, transitions are dropped, and Take reports it.
type Feed struct {
	r       *Roster
	most    int
	filling chan struct{}
	pending []transition // the fold's
	full    bool
	taken   []transition // the reader's
}

// transition is one arrival of a user on a machine, or one departure.
type transition struct {
	user    string
	machine uint32 // its number
	event   uint32 // twice the number of the event, plus 1 for an arrival
}

func (p transition) came() bool { return p.event&1 == 1 }

// Change is what changed on one machine between two calls of Take.
type Change struct {
	// Number identifies the machine as long as the roster lives. Numbers begin
	// with 1 and have no gaps, but may be reused for other machines after a Take
	// that was not complete.
	Number  uint32
	Machine string
	// Came are the users who are on at the place of the last call and were not at
	// the place of the call before; Left is the reverse. A user who came and left
	// between the two, or left and came, is in neither.
	Came, Left []string
	// Users are those who are on. Every event up to the place of the last call
	// has its effect, and perhaps some events after it: those are collected for
	// the next call.
	Users []string
}

// Follow opens the feed, which holds at most so many transitions between two
// calls of Take. The roster has one feed: an earlier one collects nothing more.
// Close it when done.
func (r *Roster) Follow(most int) *Feed {
	f := &Feed{r: r, most: most, filling: make(chan struct{}, 1)}
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

// Filling receives a value when the feed is half full: it is time for Take.
func (f *Feed) Filling() <-chan struct{} { return f.filling }

// Take takes the transitions since the last call, or since Follow, between two
// batches. It returns the place up to which they are all there. If complete is
// false, some were dropped because the feed was full, or machines were forgotten
// and their numbers may be reused; then Changes yields nothing.
func (f *Feed) Take() (place uint64, complete bool) {
	clear(f.taken) // the names
	f.r.fold.Lock()
	f.pending, f.taken = f.taken[:0], f.pending
	place, complete = f.r.status.Position.Place, !f.full
	f.full = false
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

// Changes yields the changes of the last Take, in no particular order. It leaves
// out a machine without arrivals and departures, and one that had them only
// within one event, such as a present that lists the users who were on before. A
// change is valid until the next one.
func (f *Feed) Changes() iter.Seq[Change] {
	return func(yield func(Change) bool) {
		var c Change
		for rest := f.taken; len(rest) > 0; {
			n := runOf(rest, func(p transition) bool { return p.machine == rest[0].machine })
			if c.read(rest[:n]) {
				c.readUsers(f.r)
				if !yield(c) {
					return
				}
			}
			rest = rest[n:]
		}
	}
}

// read reads the transitions of one machine, sorted by user, and reports whether
// anybody could have seen a change.
func (c *Change) read(all []transition) (seen bool) {
	c.Number, c.Came, c.Left = all[0].machine, c.Came[:0], c.Left[:0]
	for len(all) > 0 {
		n := runOf(all, func(p transition) bool { return p.user == all[0].user })
		switch first, last := all[0].came(), all[n-1].came(); {
		case first && last:
			c.Came = append(c.Came, all[0].user)
		case !first && !last:
			c.Left = append(c.Left, all[0].user)
		}
		seen = seen || visible(all[:n])
		all = all[n:]
	}
	return seen
}

// visible reports whether one of the events changed whether the user is on: then
// its first and last transition go the same way.
func visible(all []transition) bool {
	for len(all) > 0 {
		n := runOf(all, func(p transition) bool { return p.event>>1 == all[0].event>>1 })
		if all[0].came() == all[n-1].came() {
			return true
		}
		all = all[n:]
	}
	return false
}

// runOf returns how many of the first transitions satisfy such.
func runOf(all []transition, such func(transition) bool) int {
	if end := slices.IndexFunc(all, func(p transition) bool { return !such(p) }); end >= 0 {
		return end
	}
	return len(all)
}

// readUsers reads the machine's name and who is on.
func (c *Change) readUsers(r *Roster) {
	m := r.fleet.machines.At(c.Number)
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	c.Machine = m.name
	c.Users = View{m: m, people: &r.people}.AppendUsers(c.Users[:0])
}

// forgotten records that machines were forgotten. It is for the fold.
func (f *Feed) forgotten() {
	if f != nil {
		f.full = true
	}
}

// record records that a user arrived on a machine, or left it. It is for the fold.
func (f *Feed) record(m *machine, user string, event uint32, came bool) {
	if f != nil {
		f.add(m, user, event, came)
	}
}

func (f *Feed) add(m *machine, user string, event uint32, came bool) {
	//guard:false "no follower fills the memory" TestFollow
	if len(f.pending) == f.most {
		f.full = true
		return
	}
	p := transition{user: user, machine: m.number, event: event << 1}
	if came {
		p.event++
	}
	f.pending = append(f.pending, p)
	if len(f.pending) == (f.most+1)/2 {
		select {
		case f.filling <- struct{}{}:
		default:
		}
	}
}
