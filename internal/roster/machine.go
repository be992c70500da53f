package roster

import (
	"bytes"
	"math"
	"time"

	"rollcall/internal/roster/mem"
)

// machine has the registers of one machine. The fold writes them, under the
// machine's lock.
type machine struct {
	name   string
	newest Time
	heard  Time     // the newest receipt accepted, or gone
	limits *imposed // nil: none; replaced, never written to
	reset  Stamp
	// ended is no later than the date of any register that holds nothing open,
	// and before all dates if one of them may be forgotten whatever its date.
	// While ended is within the allowed lateness, there is nothing to forget.
	ended    Time
	sessions mem.Table[session]
	cleared  *mem.Table[clearing] // nil: none
	number   uint32               // in the directory
	users    int32                // how many are on
	open     int32                // open sessions
	tidyAt   int32                // tidy looks again at this many registers; 0 at first: at once
}

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

// remembered counts the machine's registers; closed, those that hold nothing
// open.
func (m *machine) remembered() int { return len(m.sessions.Rows) + len(m.clearings()) }
func (m *machine) closed() int     { return m.remembered() - int(m.open) }

// clone returns a copy for a cut, without indexes.
func (m *machine) clone() *machine {
	c := *m
	c.sessions = m.sessions.Clone()
	if m.cleared != nil {
		cleared := m.cleared.Clone()
		c.cleared = &cleared
	}
	return &c
}

// folding is one accepted event being folded into its machine.
type folding struct {
	r     *Roster
	st    *Status
	m     *machine
	stamp Stamp
	seen  *prefetched // of the event's own session
}

// apply folds the event and reports whether it raised a register.
func (f *folding) apply(e *Event) bool {
	switch e.Type {
	case Login:
		return f.login(&e.Session)
	case Logout:
		if e.Session.ID != "" {
			return f.logout(e.Session.ID)
		}
		return f.clear(e.Session.User)
	case Boot, Shutdown:
		return f.rise()
	case Present:
		return f.present(e.Sessions)
	}
	return false
}

func (f *folding) login(s *Session) bool {
	//guard:false "nobody from before a boot is on" ^(TestOracle|TestSameBytes)$
	if !f.stamp.After(f.m.reset) {
		return false
	}
	u := f.r.people.holdSeen(f.seen, s.User)
	return f.raise(s, f.key(s.ID, u), u)
}

// key is keyOf of the event's own session.
func (f *folding) key(id string, user uint32) sessionKey {
	if id == "" {
		return keyOf("", user)
	}
	return sessionKey{id: id, hash: f.seen.idHash}
}

// raise sets the session's register to its user u, whom the caller has held for
// it.
func (f *folding) raise(s *Session, key sessionKey, u uint32) bool {
	row := f.m.session(key)
	switch {
	case row == nil:
		row = f.m.sessions.Put(session{f.stamp, f.pack(s, packed{}), u, key.hash})
	//guard:false "the order of logins doesn't matter" TestOracle
	case !f.stamp.After(row.stamp):
		f.r.people.drop(u)
		return false
	default:
		f.leave(row)
		f.r.people.drop(row.user)
		row.stamp, row.packed, row.user = f.stamp, f.pack(s, row.packed), u
	}
	if f.m.isOpen(row) {
		f.r.people.opened(f.st, u, f.m)
	} else {
		f.m.ends(row.stamp)
	}
	return true
}

// pack packs the session's ID and details. It returns before if nothing changed.
func (f *folding) pack(s *Session, before packed) packed {
	f.r.packing = appendPacked(f.r.packing[:0], s)
	if len(f.r.packing) > 0 && string(f.r.packing[packedHead:]) == before.text() {
		return before
	}
	return newPacked(bytes.Clone(f.r.packing))
}

// leave records that a session is about to end, if it is open.
func (f *folding) leave(row *session) {
	f.m.ended = min(f.m.ended, row.stamp.Date)
	if f.m.isOpen(row) {
		f.r.people.closed(f.st, row.user, f.m)
	}
}

// logout sets the session's register to nobody.
func (f *folding) logout(id string) bool {
	if !f.stamp.After(f.m.reset) {
		return false
	}
	f.m.ends(f.stamp)
	key := f.key(id, 0)
	row := f.m.session(key)
	switch {
	case row == nil && f.stamp.Date < f.m.floor():
		return false
	case row == nil:
		f.m.sessions.Put(session{f.stamp, f.pack(&Session{ID: id}, packed{}), 0, key.hash})
	//guard:false "the order of logouts doesn't matter" TestOracle
	case !f.stamp.After(row.stamp):
		return false
	case f.stamp.Date < f.m.floor():
		f.leave(row)
		f.m.keepSessions(func(s *session) bool { return s != row }, f.r)
	default:
		f.leave(row)
		f.r.people.drop(row.user)
		row.stamp, row.user = f.stamp, 0
	}
	return true
}

// clear raises the clearing of a user.
func (f *folding) clear(name string) bool {
	if !f.stamp.After(f.m.reset) {
		return false
	}
	u := f.r.people.holdSeen(f.seen, name)
	c := f.m.clearing(u)
	//guard:false "the order of clearings doesn't matter" TestEarlierClearing
	if c != nil && !f.stamp.After(c.stamp) {
		f.r.people.drop(u)
		return false
	}
	left := f.leaveAll(u)
	if f.stamp.Date < f.m.floor() {
		f.r.people.drop(u)
		return left
	}
	f.m.ends(f.stamp)
	if c == nil {
		f.m.putClearing(clearing{f.stamp, u})
		return true
	}
	f.r.people.drop(u) // the clearing holds the user already
	c.stamp = f.stamp
	return true
}

// leaveAll ends all sessions of a user below the stamp, and reports whether any
// were open. Most users have only the implicit one; others are searched for only
// if the user is still on. What is below the floor is removed at once.
func (f *folding) leaveAll(u uint32) bool {
	before, floor, below := f.m.open, f.m.floor(), false
	end := func(row *session) {
		if f.stamp.After(row.stamp) {
			f.leave(row)
			f.m.ends(row.stamp)
			below = below || row.stamp.Date < floor
		}
	}
	if row := f.m.session(keyOf("", u)); row != nil {
		end(row)
	}
	if f.r.people.users.At(u).at(f.m.number) >= 0 {
		for i := range f.m.sessions.Rows {
			if row := &f.m.sessions.Rows[i]; row.user == u && !row.packed.isImplicit() {
				end(row)
			}
		}
	}
	if below {
		f.m.keepSessions(func(s *session) bool {
			return s.user != u || !f.stamp.After(s.stamp) || s.stamp.Date >= floor
		}, f.r)
	}
	return f.m.open < before
}

// keepSessions removes the sessions for which f is false. None of them is open.
func (m *machine) keepSessions(f func(*session) bool, r *Roster) {
	m.sessions.Keep(func(s *session) bool {
		if f(s) {
			return true
		}
		r.people.drop(s.user)
		return false
	})
}

// rise raises the machine's reset, and forgets all registers that are not above
// it.
func (f *folding) rise() bool {
	m := f.m
	//guard:false "the order of resets doesn't matter" TestOracle
	if !f.stamp.After(m.reset) {
		return false
	}
	m.sessions.Keep(func(s *session) bool {
		//guard:false "a login above a late boot stays" TestOracle
		if s.stamp.After(f.stamp) {
			return true
		}
		f.leave(s)
		f.r.people.drop(s.user)
		return false
	})
	m.keepClearings(func(c *clearing) bool {
		if c.stamp.After(f.stamp) {
			return true
		}
		f.r.people.drop(c.user)
		return false
	})
	m.reset = f.stamp
	m.tidied()
	return true
}

// present resets the machine and fills it, with one stamp.
func (f *folding) present(sessions []Session) bool {
	if !f.rise() {
		return false
	}
	for i := range sessions {
		u := f.r.people.hold(sessions[i].User)
		f.raise(&sessions[i], keyOf(sessions[i].ID, u), u)
	}
	return true
}

// tidy forgets the registers that hold nothing open and are dated before the
// allowed lateness: once there are enough to be worth a look, or at once if now.
func (m *machine) tidy(r *Roster, now bool) {
	before := m.horizon(r.settings.AllowedLateness)
	//guard:true "memory is bounded by who is on or left lately" TestBounded
	if m.ended >= before || !now && m.remembered() < int(m.tidyAt) {
		return
	}
	m.ended = math.MaxInt64
	// Sessions first: a clearing may be what keeps an older session closed.
	m.sessions.Keep(func(s *session) bool {
		switch {
		case m.isOpen(s):
			return true
		//guard:false "a late login doesn't undo a logout" TestLatelyOver
		case s.stamp.Date >= before && !m.forgets(s.stamp):
			m.ends(s.stamp)
			return true
		}
		r.people.drop(s.user)
		return false
	})
	m.keepClearings(func(c *clearing) bool {
		if c.stamp.Date >= before && !m.forgets(c.stamp) {
			m.ends(c.stamp)
			return true
		}
		r.people.drop(c.user)
		return false
	})
	m.tidied()
}

// horizon is the date before which every event of the machine is late.
func (m *machine) horizon(lateness time.Duration) Time { return m.newest.Add(-lateness) }

// ends records the stamp of a register that holds nothing open.
func (m *machine) ends(s Stamp) {
	if m.forgets(s) {
		m.ended = math.MinInt64
	}
	m.ended = min(m.ended, s.Date)
}

// tidied sets when tidy looks again: when there are twice as many registers. So
// the cost per event is the same however many there are.
func (m *machine) tidied() { m.tidyAt = int32(max(32, 2*m.remembered())) }

func (m *machine) reindex() {
	m.sessions.Reindex()
	if m.cleared != nil {
		m.cleared.Reindex()
	}
}
