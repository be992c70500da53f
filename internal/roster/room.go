package roster

import (
	"cmp"
	"slices"
	"strings"
)

// An event refused by the limits is a loss, so they refuse only events that open
// more sessions (limit.go). Whatever else is remembered, to judge late events,
// has ceilings of the same sizes: above one, the older half is forgotten, and a
// floor rises to the newest date forgotten. From then on, an event that opens and
// is dated below the floor is late. One that ends something is not: everything
// open is remembered, so it can still be judged.

// makeRoom keeps the registers that hold nothing open within their ceilings,
// after an event of a machine, which the caller has locked.
func (r *Roster) makeRoom(st *Status, m *machine) {
	//guard:false "what one machine has closed is bounded" ^(TestRoom|TestRoomLeavesNoTrace)$
	if most := r.settings.MaxSessionsPerMachine; most > 0 && m.closed() > most {
		before := m.remembered()
		if m.tidy(r, true); m.closed() > most {
			r.forgetHalf(m)
		}
		r.remembered += m.remembered() - before
	}
	most := r.settings.MaxSessions
	//guard:false "what all machines have closed is bounded" ^(TestRoom|TestRoomLeavesNoTrace)$
	if r.exact = r.exact && r.closed(st) > most/10*9; most > 0 && r.closed(st) > most {
		r.makeRoomEverywhere(st, m)
	}
}

// closed counts the registers of all machines that hold nothing open.
func (r *Roster) closed(st *Status) int { return r.remembered - st.Sessions }

// makeRoomEverywhere forgets all that may be forgotten. If that is not enough, it
// forgets half of the registers that hold nothing open, on every machine. From
// then on, until a tenth of the room is free again, each event tidies its own
// machine: this keeps the count exact without looking at all machines.
func (r *Roster) makeRoomEverywhere(st *Status, held *machine) {
	if !r.exact {
		r.exact = true
		r.tidyAll(held)
	}
	if r.closed(st) <= r.settings.MaxSessions {
		return
	}
	for m := range r.fleet.all {
		r.change(m, held, func() {
			r.preserve(m)
			r.forgetHalf(m)
		})
	}
}

// tidyAll forgets all that may be forgotten, on every machine.
func (r *Roster) tidyAll(held *machine) {
	for m := range r.fleet.all {
		r.change(m, held, func() { m.tidy(r, true) })
	}
}

// change calls f, which changes what m remembers, with the lock of m held. The
// caller already holds the lock of held; nil: of none.
func (r *Roster) change(m, held *machine, f func()) {
	if lock := r.lock(m); held == nil || lock != r.lock(held) {
		lock.Lock()
		defer lock.Unlock()
	}
	before := m.remembered()
	f()
	r.remembered += m.remembered() - before
}

// preserve lets every cut copy the machine before it changes.
func (r *Roster) preserve(m *machine) {
	for _, c := range r.cuts {
		//guard:drop "a cut is the roster of one place" TestCut
		c.preserve(m)
	}
}

// forgetHalf forgets the older half, by stamp, of the machine's registers that
// hold nothing open, and all others with the same date as the newest of these.
// The floor rises.
func (r *Roster) forgetHalf(m *machine) {
	stamps := m.closedStamps()
	if len(stamps) == 0 {
		return
	}
	slices.SortFunc(stamps, Stamp.compare)
	m.raiseFloor(stamps[(len(stamps)-1)/2].Date + 1)
	m.keepSessions(func(s *session) bool { return m.isOpen(s) || s.stamp.Date >= m.floor() }, r)
	m.keepClearings(func(c *clearing) bool {
		if c.stamp.Date >= m.floor() {
			return true
		}
		r.people.drop(c.user)
		return false
	})
	m.setTidyAt()
}

// closedStamps returns the stamps of the registers that hold nothing open.
func (m *machine) closedStamps() []Stamp {
	stamps := make([]Stamp, 0, m.closed())
	for i := range m.sessions.Rows {
		if s := &m.sessions.Rows[i]; !m.isOpen(s) {
			stamps = append(stamps, s.stamp)
		}
	}
	for _, c := range m.clearings() {
		stamps = append(stamps, c.stamp)
	}
	return stamps
}

func (s Stamp) compare(o Stamp) int {
	return cmp.Or(cmp.Compare(s.Date, o.Date), cmp.Compare(s.Place, o.Place))
}

// forgetHidden forgets the half of the hidden machines that was heard longest
// ago. The fleet's floor rises to their newest dates: an event dated below it is
// late if its machine is not in the roster.
func (r *Roster) forgetHidden(st *Status) {
	before := r.hiddenBefore(st.Receipt)
	var hidden []*machine
	for m := range r.fleet.all {
		if m.users == 0 && m.heard < before {
			hidden = append(hidden, m)
		}
	}
	slices.SortFunc(hidden, func(a, b *machine) int {
		return cmp.Or(cmp.Compare(a.heard, b.heard), strings.Compare(a.name, b.name))
	})
	hidden = hidden[:(len(hidden)+1)/2]
	for _, m := range hidden {
		st.fleetFloor = max(st.fleetFloor, m.newest+1)
		st.count(r.standingOf(st, m, before), standing{})
		st.Machines--
		r.change(m, nil, func() {
			//guard:drop "a cut keeps what is forgotten meanwhile" TestCutKeepsWhatIsForgotten
			r.preserve(m)
			m.forgetAll(r)
		})
	}
	r.fleet.remove(hidden)
	r.people.feed.forgotten()
}

// forgetAll forgets all that a machine remembers. Nobody is on it.
func (m *machine) forgetAll(r *Roster) {
	m.keepSessions(func(*session) bool { return false }, r)
	m.keepClearings(func(c *clearing) bool {
		r.people.drop(c.user)
		return false
	})
	m.limits, m.heard = nil, gone
}
