package roster

import (
	"fmt"

	"rollcall/internal/roster/mem"
)

// refuse checks the reasons that only the fold can check, in their order: future,
// late, limit. m is the event's machine, nil if it is new. It returns nil when
// the event is accepted.
func (r *Roster) refuse(st *Status, m *machine, msg *Message) *Refusal {
	e := &msg.Event
	//guard:false "no event from the future is folded" ./internal/ingest:^TestRefused$
	if e.Date > msg.Receipt.Add(r.settings.MaxSkew) {
		return &Refusal{
			Future,
			fmt.Sprintf("date %s is more than %v after its receipt at %s", e.Date, r.settings.MaxSkew, msg.Receipt),
			"set the clock of the machine that publishes",
		}
	}
	if refusal := r.late(st, m, e); refusal != nil {
		return refusal
	}
	return r.overLimit(st, m, e, Stamp{e.Date, msg.Place})
}

// late refuses an event that can no longer be judged, because what it would have
// to be compared with has been forgotten.
func (r *Roster) late(st *Status, m *machine, e *Event) *Refusal {
	const remedy = "publish a machine's events roughly in the order of their dates"
	lateness := r.settings.AllowedLateness
	switch {
	case m == nil && e.Date < st.fleetFloor:
		return &Refusal{
			Late,
			fmt.Sprintf("date %s is before %s: machines that were not heard since have been forgotten, for want of room", e.Date, st.fleetFloor),
			remedy + ", or raise ROLLCALL_MAX_MACHINES",
		}
	//guard:false "nothing is judged by what was forgotten" TestOracle
	case m != nil && e.Date < m.horizon(lateness):
		return &Refusal{
			Late,
			fmt.Sprintf("date %s is more than %v before the machine's newest event of %s", e.Date, lateness, m.newest),
			remedy,
		}
	case m != nil && e.Date < m.floor() && e.maxOpened() > 0:
		return &Refusal{
			Late,
			fmt.Sprintf("date %s is before %s, up to when the machine's ended sessions have been forgotten", e.Date, m.floor()),
			remedy + ", or raise ROLLCALL_MAX_SESSIONS_PER_MACHINE",
		}
	}
	return nil
}

// maxOpened is how many sessions the event may open; 0: it only ends sessions.
func (e *Event) maxOpened() int {
	if e.Type == Login {
		return 1
	}
	return len(e.Sessions)
}

// overLimit refuses an event that would open more sessions than there is room
// for, and every event of a new machine when there are too many machines. On a
// known machine, what only ends something is never refused.
func (r *Roster) overLimit(st *Status, m *machine, e *Event, stamp Stamp) *Refusal {
	s := &r.settings
	//guard:false "the number of machines is bounded" ^TestLimits$
	if m == nil && s.MaxMachines > 0 && st.Machines-st.Hidden >= s.MaxMachines {
		return &Refusal{
			Limit,
			fmt.Sprintf("the roster is full: %d machines", s.MaxMachines),
			"raise ROLLCALL_MAX_MACHINES; one on which nobody is makes room once it was not heard for ROLLCALL_ALLOWED_LATENESS",
		}
	}
	most := e.maxOpened()
	if most == 0 || !over(m.opened(), most, s.MaxSessionsPerMachine) && !over(st.Sessions, most, s.MaxSessions) {
		return nil
	}
	switch more := r.openDelta(m, e, stamp); {
	//guard:false "a machine's sessions are bounded" ^TestLimits$
	case over(m.opened(), more, s.MaxSessionsPerMachine):
		return full("sessions on this machine", s.MaxSessionsPerMachine, "ROLLCALL_MAX_SESSIONS_PER_MACHINE")
	//guard:false "all sessions together are bounded" ^TestLimits$
	case over(st.Sessions, more, s.MaxSessions):
		return full("sessions", s.MaxSessions, "ROLLCALL_MAX_SESSIONS")
	}
	return nil
}

func over(have, more, limit int) bool { return limit > 0 && more > 0 && have+more > limit }

func full(what string, limit int, variable string) *Refusal {
	return &Refusal{
		Limit,
		fmt.Sprintf("the roster is full: %d %s", limit, what),
		"raise " + variable + ", or end what is over: a logout, a shutdown or a boot is always taken",
	}
}

// opened is how many sessions are open on a machine; nil: none.
func (m *machine) opened() int {
	if m == nil {
		return 0
	}
	return int(m.open)
}

// openDelta is how many more sessions are open on the machine once the event is
// folded: negative if it ends more than it opens.
func (r *Roster) openDelta(m *machine, e *Event, stamp Stamp) int {
	switch {
	case m == nil:
		return e.maxOpened()
	case !stamp.After(m.reset):
		return 0
	case e.Type == Login:
		row := r.session(m, &e.Session)
		if row != nil && !stamp.After(row.stamp) {
			return 0
		}
		return difference(row != nil && m.isOpen(row), !r.isCleared(m, e.Session.User, stamp))
	}
	return r.openAfterPresent(m, e.Sessions, stamp) - m.opened()
}

// openAfterPresent is how many sessions are open once a present is folded: its
// entries, and the sessions with stamps above it.
func (r *Roster) openAfterPresent(m *machine, sessions []Session, stamp Stamp) int {
	open := 0
	for i := range m.sessions.Rows {
		if row := &m.sessions.Rows[i]; row.stamp.After(stamp) && m.isOpen(row) {
			open++
		}
	}
	for i := range sessions {
		row := r.session(m, &sessions[i])
		if (row == nil || !row.stamp.After(stamp)) && !r.isCleared(m, sessions[i].User, stamp) {
			open++
		}
	}
	return open
}

// session finds the register of a session, or nil.
func (r *Roster) session(m *machine, s *Session) *session {
	var user uint32
	if s.ID == "" {
		if user = r.people.find(s.User, mem.Hash(s.User)); user == 0 {
			return nil
		}
	}
	return m.session(keyOf(s.ID, user))
}

// isCleared reports whether a user was logged out of all sessions on the machine
// after a stamp.
func (r *Roster) isCleared(m *machine, user string, stamp Stamp) bool {
	u := r.people.find(user, mem.Hash(user))
	if u == 0 {
		return false
	}
	c := m.clearing(u)
	return c != nil && !stamp.After(c.stamp)
}

// refusedForRoom records that an event was refused for want of room: in its
// machine, or, if that is not in the roster, as a loss.
func (r *Roster) refusedForRoom(st *Status, m *machine, stamp Stamp) {
	if m == nil {
		r.lost(st, LossLimit, stamp.Place)
		return
	}
	lock := r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	r.preserve(m)
	since := r.hiddenBefore(st.Receipt)
	was := r.standingOf(st, m, since)
	if stamp.After(m.refused()) {
		m.limits = &limitState{m.floor(), stamp}
	}
	st.count(was, r.standingOf(st, m, since))
}
