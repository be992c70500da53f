package roster

import (
	"cmp"
	"slices"
	"strings"
)

// A refused event is a loss, so the limits refuse only events that open more
// sessions (limit.go). Closed registers and hidden machines, which are kept to judge
// late events, have ceilings of the same sizes: above one, the older half is
// evicted, and a floor rises to just after the newest date evicted. From then on, an
// event that opens a session and is dated before the floor is late. An event that
// only ends sessions is not: whatever is open is still known, so it can be judged.

// evict keeps the closed registers within their ceilings, after an event of a
// machine that the caller has locked.
func (r *Roster) evict(st *Status, m *machine) {
	//guard:false "what one machine has closed is bounded" ^(TestEviction|TestEvictionLeavesNoTrace)$
	if most := r.settings.MaxSessionsPerMachine; most > 0 && m.closedCount() > most {
		before := m.registerCount()
		if m.expire(r, true); m.closedCount() > most {
			r.evictOlderHalf(m)
		}
		r.registers += m.registerCount() - before
	}
	most := r.settings.MaxSessions
	//guard:false "what all machines have closed is bounded" ^(TestEviction|TestEvictionLeavesNoTrace)$
	if r.exact = r.exact && r.closedCount(st) > most/10*9; most > 0 && r.closedCount(st) > most {
		r.evictEverywhere(st, m)
	}
}

// closedCount counts the closed registers of all machines.
func (r *Roster) closedCount(st *Status) int { return r.registers - st.Sessions }

// evictEverywhere drops the expired registers of all machines. If that is not
// enough, it evicts half of the closed registers on every machine. From then on,
// until a tenth of the ceiling is free again, each event expires the registers of
// its own machine: this keeps the count exact without visiting all machines.
func (r *Roster) evictEverywhere(st *Status, held *machine) {
	if !r.exact {
		r.exact = true
		r.expireAll(held)
	}
	if r.closedCount(st) <= r.settings.MaxSessions {
		return
	}
	for m := range r.fleet.all {
		r.change(m, held, func() {
			r.preserve(m)
			r.evictOlderHalf(m)
		})
	}
}

// expireAll drops the expired registers of all machines.
func (r *Roster) expireAll(held *machine) {
	for m := range r.fleet.all {
		r.change(m, held, func() { m.expire(r, true) })
	}
}

// change calls f, which changes the registers of m, with the lock of m held. The
// caller already holds the lock of held, if that is not nil.
func (r *Roster) change(m, held *machine, f func()) {
	if lock := r.lock(m); held == nil || lock != r.lock(held) {
		lock.Lock()
		defer lock.Unlock()
	}
	before := m.registerCount()
	f()
	r.registers += m.registerCount() - before
}

// preserve lets every cut save the machine before it changes.
func (r *Roster) preserve(m *machine) {
	for _, c := range r.cuts {
		//guard:drop "a cut is the roster of one place" TestCut
		c.preserve(m)
	}
}

// evictOlderHalf drops the older half, by stamp, of the machine's closed registers,
// and all others with the same date as the newest of these, and raises the floor.
func (r *Roster) evictOlderHalf(m *machine) {
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
		r.people.release(c.user)
		return false
	})
	m.setExpireAtCount()
}

// closedStamps returns the stamps of the closed registers.
func (m *machine) closedStamps() []Stamp {
	stamps := make([]Stamp, 0, m.closedCount())
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

// evictHidden drops the half of the hidden machines that was heard longest ago,
// and raises the fleet's floor to just after their newest date: an event dated
// before it is late if its machine is not in the roster.
func (r *Roster) evictHidden(st *Status) {
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
		was := r.standingOf(st, m, before)
		st.recount(was, standing{})
		st.leaveMissing(was.missing)
		st.Machines--
		r.change(m, nil, func() {
			//guard:drop "a cut keeps machines evicted meanwhile" TestCutKeepsEvicted
			r.preserve(m)
			m.clear(r)
		})
	}
	r.fleet.remove(hidden)
	r.people.feed.markIncomplete()
}

// clear drops all registers of a machine with nobody on it, and marks it removed.
func (m *machine) clear(r *Roster) {
	m.keepSessions(func(*session) bool { return false }, r)
	m.keepClearings(func(c *clearing) bool {
		r.people.release(c.user)
		return false
	})
	m.limits, m.numbers, m.heard = nil, nil, removed
}
