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

// late refuses an event that can no longer be judged, because the registers that
// would decide it have been dropped.
func (r *Roster) late(st *Status, m *machine, e *Event) *Refusal {
	const remedy = "publish a machine's events roughly in the order of their dates"
	lateness := r.settings.AllowedLateness
	switch {
	case m == nil && e.Date < st.fleetFloor:
		return &Refusal{
			Late,
			fmt.Sprintf("date %s is before %s: machines not heard since then have been evicted to stay within the limit", e.Date, st.fleetFloor),
			remedy + ", or raise ROLLCALL_MAX_MACHINES",
		}
	//guard:false "no event is judged by registers that were dropped" TestOracle
	case m != nil && e.Date < m.horizon(lateness):
		return &Refusal{
			Late,
			fmt.Sprintf("date %s is more than %v before the machine's newest event of %s", e.Date, lateness, m.newest),
			remedy,
		}
	case m != nil && e.Date < m.floor() && e.maxOpens() > 0:
		return &Refusal{
			Late,
			fmt.Sprintf("date %s is before %s: the machine's sessions that ended before then have been dropped", e.Date, m.floor()),
			remedy + ", or raise ROLLCALL_MAX_SESSIONS_PER_MACHINE",
		}
	}
	return nil
}

// maxOpens returns how many sessions the event may open; 0: it only ends sessions.
func (e *Event) maxOpens() int {
	if e.Type == Login {
		return 1
	}
	return len(e.Sessions)
}

// overLimit refuses an event that would open more sessions than a limit allows,
// and every event of a new machine when there are too many machines. On a known
// machine, an event that only ends sessions is never refused.
func (r *Roster) overLimit(st *Status, m *machine, e *Event, stamp Stamp) *Refusal {
	s := &r.settings
	//guard:false "the number of machines is bounded" ^TestLimits$
	if m == nil && s.MaxMachines > 0 && st.Machines-st.Hidden >= s.MaxMachines {
		return &Refusal{
			Limit,
			fmt.Sprintf("the roster is full: %d machines", s.MaxMachines),
			"raise ROLLCALL_MAX_MACHINES; a machine with nobody on it stops counting once it has not been heard for ROLLCALL_ALLOWED_LATENESS",
		}
	}
	most := e.maxOpens()
	if most == 0 || !exceeds(m.openCount(), most, s.MaxSessionsPerMachine) && !exceeds(st.Sessions, most, s.MaxSessions) {
		return nil
	}
	switch more := r.openDelta(m, e, stamp); {
	//guard:false "a machine's sessions are bounded" ^TestLimits$
	case exceeds(m.openCount(), more, s.MaxSessionsPerMachine):
		return limitRefusal("sessions on this machine", s.MaxSessionsPerMachine, "ROLLCALL_MAX_SESSIONS_PER_MACHINE")
	//guard:false "all sessions together are bounded" ^TestLimits$
	case exceeds(st.Sessions, more, s.MaxSessions):
		return limitRefusal("sessions", s.MaxSessions, "ROLLCALL_MAX_SESSIONS")
	}
	return nil
}

func exceeds(have, more, limit int) bool { return limit > 0 && more > 0 && have+more > limit }

func limitRefusal(what string, limit int, variable string) *Refusal {
	return &Refusal{
		Limit,
		fmt.Sprintf("the roster is full: %d %s", limit, what),
		"raise " + variable + ", or publish a logout, shutdown or boot for sessions that have ended: on a known machine these are always accepted",
	}
}

// openCount returns how many sessions are open on a machine, which may be nil.
func (m *machine) openCount() int {
	if m == nil {
		return 0
	}
	return int(m.open)
}

// openDelta returns by how many the event would change the number of the
// machine's open sessions: negative if it ends more than it opens.
func (r *Roster) openDelta(m *machine, e *Event, stamp Stamp) int {
	switch {
	case m == nil:
		return e.maxOpens()
	case !stamp.After(m.reset):
		return 0
	case e.Type == Login:
		row := r.session(m, &e.Session)
		if row != nil && !stamp.After(row.stamp) {
			return 0
		}
		return boolDelta(row != nil && m.isOpen(row), !r.isCleared(m, e.Session.User, stamp))
	}
	return r.openAfterPresent(m, e.Sessions, stamp) - m.openCount()
}

// openAfterPresent returns how many sessions would be open once a present is
// folded: its entries, and the sessions with stamps above it.
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

// recordLimited records that an event was refused because of a limit: in its
// machine, or, if that is not in the roster, as a loss.
func (r *Roster) recordLimited(st *Status, m *machine, stamp Stamp) {
	if m == nil {
		r.recordLoss(st, LossLimit, stamp.Place)
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
	is := r.standingOf(st, m, since)
	st.recount(was, is)
	//guard:drop "a machine that becomes incomplete is in the feed" TestFeedFields
	r.people.feed.touch(m, r.people.event, was.display, is.display)
}
