package roster

import (
	"math"
	"time"

	"rollcall/internal/roster/mem"
)

// machine has the registers of one machine. The fold writes them, under the
// machine's lock.
type machine struct {
	name    string
	newest  Time
	heard   Time        // the newest receipt accepted, or removed
	changed Time        // the newest date of a login or logout accepted, or unchanged
	limits  *limitState // nil: none; replaced, never written to
	numbers *numbering  // nil: none
	reset   Stamp
	every   time.Duration // how often the machine lists who is on, as the present at reset said; 0: unknown
	// ended is at most the date of every closed register, and MinInt64 if one may
	// be dropped whatever its date. While ended is within the allowed lateness,
	// nothing has expired.
	ended         Time
	sessions      mem.Table[session]
	cleared       *mem.Table[clearing] // nil: none
	number        uint32               // in the directory
	users         int32                // how many are on
	open          int32                // open sessions
	through       uint64               // the sources through which it was heard: see bitOf
	expireAtCount int32                // expire runs at this many registers; 0 at first: at once
}

// unchanged is the value of changed while no login or logout was accepted.
const unchanged Time = math.MinInt64

// session is the register of one session.
type session struct {
	stamp  Stamp
	packed packed
	user   uint32 // who is on; 0: nobody, and the details don't count
	hash   uint32 // of the key
}

func (s session) KeyHash() uint32 { return s.hash }

// session finds the register of a session, or nil.
func (m *machine) session(k sessionKey) *session {
	t := &m.sessions
	if t.Indexed() {
		if i := t.Lookup(k.hash, func(s *session) bool { return s.is(&k) }); i >= 0 {
			return &t.Rows[i]
		}
		return nil
	}
	for i := range t.Rows {
		if s := &t.Rows[i]; s.is(&k) {
			return s
		}
	}
	return nil
}

// clearing is the register of a user who was logged out of all sessions.
type clearing struct {
	stamp Stamp
	user  uint32
}

func (c clearing) KeyHash() uint32 { return mem.HashNumber(c.user) }

// clearing finds the register of a user's clearing, or nil.
func (m *machine) clearing(user uint32) *clearing {
	t := m.cleared
	if t == nil {
		return nil
	}
	if t.Indexed() {
		if i := t.Lookup(mem.HashNumber(user), func(c *clearing) bool { return c.user == user }); i >= 0 {
			return &t.Rows[i]
		}
		return nil
	}
	for i := range t.Rows {
		if t.Rows[i].user == user {
			return &t.Rows[i]
		}
	}
	return nil
}

func (m *machine) putClearing(c clearing) {
	if m.cleared == nil {
		m.cleared = new(mem.Table[clearing])
	}
	m.cleared.Put(c)
}

// keepClearings removes the clearings for which f is false.
func (m *machine) keepClearings(f func(*clearing) bool) {
	if m.cleared == nil {
		return
	}
	if m.cleared.Keep(f); len(m.cleared.Rows) == 0 {
		m.cleared = nil
	}
}

func (m *machine) clearings() []clearing {
	if m.cleared == nil {
		return nil
	}
	return m.cleared.Rows
}

// isOpen reports whether a session's user is on.
func (m *machine) isOpen(s *session) bool {
	if s.user == 0 || m.reset.After(s.stamp) {
		return false
	}
	c := m.clearing(s.user)
	//guard:true "a logout without a session ends all of a user's" TestOracle
	return c == nil || s.stamp.After(c.stamp)
}

// registerCount counts the machine's registers; closedCount, those that have
// nothing open.
func (m *machine) registerCount() int { return len(m.sessions.Rows) + len(m.clearings()) }
func (m *machine) closedCount() int   { return m.registerCount() - int(m.open) }

// clone returns a copy for a cut, without indexes.
func (m *machine) clone() *machine {
	c := *m
	c.sessions = m.sessions.Clone()
	c.numbers = m.numbers.clone()
	if m.cleared != nil {
		cleared := m.cleared.Clone()
		c.cleared = &cleared
	}
	return &c
}

// keepSessions removes the sessions for which f is false. f must be true for open
// sessions.
func (m *machine) keepSessions(f func(*session) bool, r *Roster) {
	m.sessions.Keep(func(s *session) bool {
		if f(s) {
			return true
		}
		r.people.release(s.user)
		return false
	})
}

// expire drops the closed registers dated before the allowed lateness: when there
// are expireAtCount registers, or at once if now.
func (m *machine) expire(r *Roster, now bool) {
	before := m.horizon(r.settings.AllowedLateness)
	//guard:true "memory is bounded by who is on or left recently" TestBounded
	if m.ended >= before || !now && m.registerCount() < int(m.expireAtCount) {
		return
	}
	m.ended = math.MaxInt64
	// Sessions first: a clearing may be what keeps an older session closed.
	m.sessions.Keep(func(s *session) bool {
		switch {
		case m.isOpen(s):
			return true
		//guard:false "a late login doesn't undo a logout" TestRecentlyClosed
		case s.stamp.Date >= before && !m.forgets(s.stamp):
			m.recordClosed(s.stamp)
			return true
		}
		r.people.release(s.user)
		return false
	})
	m.keepClearings(func(c *clearing) bool {
		if c.stamp.Date >= before && !m.forgets(c.stamp) {
			m.recordClosed(c.stamp)
			return true
		}
		r.people.release(c.user)
		return false
	})
	m.setExpireAtCount()
}

// horizon returns the date before which every event of the machine is late.
func (m *machine) horizon(lateness time.Duration) Time { return m.newest.Add(-lateness) }

// recordClosed records the stamp of a closed register.
func (m *machine) recordClosed(s Stamp) {
	if m.forgets(s) {
		m.ended = math.MinInt64
	}
	m.ended = min(m.ended, s.Date)
}

// setExpireAtCount makes expire wait until there are twice as many registers, so
// its amortized cost per event doesn't depend on how many there are.
func (m *machine) setExpireAtCount() { m.expireAtCount = int32(max(32, 2*m.registerCount())) }

func (m *machine) reindex() {
	m.sessions.Reindex()
	if m.cleared != nil {
		m.cleared.Reindex()
	}
}
