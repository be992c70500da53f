package roster

import (
	"bytes"
)

// folding is one accepted event being folded into its machine.
type folding struct {
	r     *Roster
	st    *Status
	m     *machine
	stamp Stamp
	hint  *prefetched // of the event's own session
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
		return f.raiseReset()
	case Present:
		return f.present(e)
	}
	return false
}

func (f *folding) login(s *Session) bool {
	//guard:false "a login from before a boot raises nothing" TestLoginBeforeBoot
	if !f.stamp.After(f.m.reset) {
		return false
	}
	u := f.r.people.acquirePrefetched(f.hint, s.User)
	return f.raise(s, f.key(s.ID, u), u)
}

// key returns the key of the event's own session, with the hash that is already
// known.
func (f *folding) key(id string, user uint32) sessionKey {
	if id == "" {
		return keyOf("", user)
	}
	return sessionKey{id: id, hash: f.hint.idHash}
}

// raise sets the session's register to its user u, whom the caller has acquired
// for it.
func (f *folding) raise(s *Session, key sessionKey, u uint32) bool {
	row := f.m.session(key)
	switch {
	case row == nil:
		row = f.m.sessions.Put(session{f.stamp, f.pack(s, packed{}), u, key.hash})
	//guard:false "the order of logins doesn't matter" TestOracle
	case !f.stamp.After(row.stamp):
		f.r.people.release(u)
		return false
	default:
		f.endSession(row)
		f.r.people.release(row.user)
		row.stamp, row.packed, row.user = f.stamp, f.pack(s, row.packed), u
	}
	if f.m.isOpen(row) {
		f.r.people.recordOpened(f.st, u, f.m)
	} else {
		f.m.recordClosed(row.stamp)
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

// endSession records that a session is about to end, if it is open.
func (f *folding) endSession(row *session) {
	f.m.ended = min(f.m.ended, row.stamp.Date)
	if f.m.isOpen(row) {
		f.r.people.recordClosed(f.st, row.user, f.m)
	}
}

// logout sets the session's register to nobody.
func (f *folding) logout(id string) bool {
	if !f.stamp.After(f.m.reset) {
		return false
	}
	f.m.recordClosed(f.stamp)
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
		f.endSession(row)
		f.m.keepSessions(func(s *session) bool { return s != row }, f.r)
	default:
		f.endSession(row)
		f.r.people.release(row.user)
		row.stamp, row.user = f.stamp, 0
	}
	return true
}

// clear raises the cleared register of a user.
func (f *folding) clear(name string) bool {
	if !f.stamp.After(f.m.reset) {
		return false
	}
	u := f.r.people.acquirePrefetched(f.hint, name)
	c := f.m.clearing(u)
	//guard:false "the order of clearings doesn't matter" TestEarlierClearing
	if c != nil && !f.stamp.After(c.stamp) {
		f.r.people.release(u)
		return false
	}
	left := f.endAll(u)
	if f.stamp.Date < f.m.floor() {
		f.r.people.release(u)
		return left
	}
	f.m.recordClosed(f.stamp)
	if c == nil {
		f.m.putClearing(clearing{f.stamp, u})
		return true
	}
	f.r.people.release(u) // the clearing already refers to the user
	c.stamp = f.stamp
	return true
}

// endAll ends all sessions of a user below the stamp, and reports whether any
// were open. Most users have only the implicit session; it searches for others only
// if the user is still on. Registers dated before the floor are removed at once.
func (f *folding) endAll(u uint32) bool {
	before, floor, below := f.m.open, f.m.floor(), false
	end := func(row *session) {
		if f.stamp.After(row.stamp) {
			f.endSession(row)
			f.m.recordClosed(row.stamp)
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

// raiseReset raises the machine's reset, and drops all registers that are not above
// it.
func (f *folding) raiseReset() bool {
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
		f.endSession(s)
		f.r.people.release(s.user)
		return false
	})
	m.keepClearings(func(c *clearing) bool {
		if c.stamp.After(f.stamp) {
			return true
		}
		f.r.people.release(c.user)
		return false
	})
	m.reset, m.every = f.stamp, 0
	m.setExpireAtCount()
	return true
}

// present resets the machine and opens the listed sessions, with the same stamp.
func (f *folding) present(e *Event) bool {
	if !f.raiseReset() {
		return false
	}
	f.m.every = e.Every
	sessions := e.Sessions
	for i := range sessions {
		u := f.r.people.acquire(sessions[i].User)
		f.raise(&sessions[i], keyOf(sessions[i].ID, u), u)
	}
	return true
}
