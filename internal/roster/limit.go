package roster

import (
	"fmt"
	"time"
)

// refuse judges what only the fold can judge, in the order of the reasons:
// future, late, limit. m is the event's machine, nil if it is new. It returns
// nil when the event is accepted.
func (r *Roster) refuse(m *machine, msg *Message) *Refusal {
	e := &msg.Event
	if e.Date > msg.Receipt.Add(r.settings.MaxSkew) {
		return &Refusal{
			Future,
			fmt.Sprintf("date %s is more than %v after its receipt at %s", e.Date, r.settings.MaxSkew, msg.Receipt),
			"set the clock of the machine that publishes",
		}
	}
	if m != nil && e.Date < m.oldestAccepted(r.settings.AllowedLateness) {
		return &Refusal{
			Late,
			fmt.Sprintf("date %s is more than %v before the machine's newest event of %s", e.Date, r.settings.AllowedLateness, m.newest),
			"publish a machine's events roughly in the order of their dates",
		}
	}
	return r.overLimit(m, e, Stamp{e.Date, msg.Place})
}

// oldestAccepted is the date before which an event of the machine is late.
func (m *machine) oldestAccepted(lateness time.Duration) Time {
	return max(m.floor, m.newest.Add(-lateness))
}

// overLimit refuses an event that the roster has no room for. What may be
// forgotten does not count, so that the verdict depends on the events alone.
func (r *Roster) overLimit(m *machine, e *Event, stamp Stamp) *Refusal {
	s := &r.settings
	if m == nil {
		if s.MaxMachines > 0 && r.fleet.count() >= s.MaxMachines {
			return full("machines", s.MaxMachines, "ROLLCALL_MAX_MACHINES")
		}
		m = new(machine)
	}
	most := max(1, len(e.Sessions))
	if over(m.remembered(), most, s.MaxSessionsPerMachine) {
		r.tidy(m)
		if over(m.remembered(), m.more(r, e, stamp), s.MaxSessionsPerMachine) {
			return full("sessions on this machine", s.MaxSessionsPerMachine, "ROLLCALL_MAX_SESSIONS_PER_MACHINE")
		}
	}
	if over(r.remembered, most, s.MaxSessions) {
		r.tidyAll()
		if over(r.remembered, m.more(r, e, stamp), s.MaxSessions) {
			return full("sessions", s.MaxSessions, "ROLLCALL_MAX_SESSIONS")
		}
	}
	r.exact = r.exact && r.remembered > s.MaxSessions/10*9
	return nil
}

func over(have, more, limit int) bool { return limit > 0 && more > 0 && have+more > limit }

func full(what string, limit int, variable string) *Refusal {
	return &Refusal{
		Limit,
		fmt.Sprintf("the roster is full: %d %s", limit, what),
		"raise " + variable + ", or end what is over with a shutdown of the machine",
	}
}

// more is how many registers the event adds to those remembered.
func (m *machine) more(r *Roster, e *Event, stamp Stamp) int {
	if !stamp.After(m.reset) {
		return 0
	}
	switch e.Type {
	case Login, Logout:
		if e.Type == Logout && e.Session.ID == "" {
			u := r.people.find(e.Session.User, hashOf(e.Session.User))
			return missing(m.clearing(u) != nil)
		}
		return missing(r.session(m, &e.Session) != nil)
	case Present:
		return m.afterPresent(r, e.Sessions, stamp) - m.remembered()
	}
	return 0
}

func missing(found bool) int {
	if found {
		return 0
	}
	return 1
}

// session finds the register of a session, or nil.
func (r *Roster) session(m *machine, s *Session) *session {
	var user uint32
	if s.ID == "" {
		if user = r.people.find(s.User, hashOf(s.User)); user == 0 {
			return nil
		}
	}
	return m.session(keyOf(s.ID, user))
}

// afterPresent is how many registers there are once a present is folded: the
// entries, and what is above it.
func (m *machine) afterPresent(r *Roster, sessions []Session, stamp Stamp) int {
	n := len(sessions)
	for i := range sessions {
		if row := r.session(m, &sessions[i]); row != nil && row.stamp.After(stamp) {
			n--
		}
	}
	for _, row := range m.sessions.rows {
		if row.stamp.After(stamp) {
			n++
		}
	}
	for _, c := range m.clearings() {
		if c.stamp.After(stamp) {
			n++
		}
	}
	return n
}

// tidy forgets all that may be forgotten of one machine.
func (r *Roster) tidy(m *machine) {
	if m.number == 0 {
		return
	}
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	before := m.remembered()
	m.tidy(r, true)
	r.remembered += m.remembered() - before
}

// tidyAll forgets all that may be forgotten. From then on, until there is a
// tenth of room again, each event tidies its own machine, which keeps the count
// exact without looking at all of them again.
func (r *Roster) tidyAll() {
	if r.exact {
		return
	}
	for m := range r.fleet.all {
		r.tidy(m)
	}
	r.exact = true
}
