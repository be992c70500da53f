package roster

import (
	"math"
	"strings"
	"sync"
)

// machine has the registers of one machine. Written by the fold, under lock.
type machine struct {
	name   string
	lock   *sync.Mutex
	newest Time
	heard  Time
	// floor, when not 0, is a date before which events are late whatever
	// newest says: set when a roster goes on with a greater allowed lateness,
	// because what the smaller one forgot is gone.
	floor    Time
	reset    Stamp
	sessions table[sessionKey, session]
	cleared  table[*user, clearing]
	users    int // how many are on
	tidyAt   int // registers from which tidy looks again; 0 at first: at once
	// ended is no later than the date of any register that holds nothing open:
	// while it is within the allowed lateness there is nothing to forget.
	ended Time
}

// session is the register of one session.
type session struct {
	stamp Stamp
	// id is the session's name; empty for the implicit session of user.
	id string
	// user is who is on, or nil: nobody.
	user    *user
	details *details
}

// details are what few sessions have.
type details struct {
	since                     Time // 0: the stamp's date
	terminal, remote, service string
}

// sessionKey names a session on its machine: by id, or for an implicit one by
// its user.
type sessionKey struct {
	id   string
	user *user
}

func (s session) key() sessionKey {
	if s.id != "" {
		return sessionKey{id: s.id}
	}
	return sessionKey{user: s.user}
}

// clearing is the register of a user who was logged out of all sessions.
type clearing struct {
	user  *user
	stamp Stamp
}

func (c clearing) key() *user { return c.user }

// open reports whether a session's user is on.
func (m *machine) open(s *session) bool {
	if s.user == nil || m.reset.After(s.stamp) {
		return false
	}
	c := m.cleared.find(s.user)
	return c == nil || s.stamp.After(c.stamp)
}

func (m *machine) remembered() int { return len(m.sessions.rows) + len(m.cleared.rows) }

// folding is one accepted event on its way into one machine.
type folding struct {
	r     *Roster
	st    *Status
	m     *machine
	stamp Stamp
}

// apply folds the event and tells whether it raised a register.
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
	return f.stamp.After(f.m.reset) && f.raise(s)
}

// raise gives the session's register to the session's user.
func (f *folding) raise(s *Session) bool {
	u := f.r.people.hold(s.User)
	key := sessionKey{id: s.ID}
	if s.ID == "" {
		key.user = u
	}
	row := f.m.sessions.find(key)
	switch {
	case row == nil:
		row = f.m.sessions.put(session{stamp: f.stamp, id: strings.Clone(s.ID), user: u, details: newDetails(s)})
	case !f.stamp.After(row.stamp):
		f.r.people.drop(u)
		return false
	default:
		f.leave(row)
		f.r.people.drop(row.user)
		row.stamp, row.user, row.details = f.stamp, u, newDetails(s)
	}
	if f.m.open(row) {
		f.r.people.opened(f.st, u, f.m)
	} else {
		f.m.ends(row.stamp)
	}
	return true
}

// leave notes that a session is about to end, if it is open.
func (f *folding) leave(row *session) {
	f.m.ends(row.stamp)
	if f.m.open(row) {
		f.r.people.closed(f.st, row.user, f.m)
	}
}

// logout gives the session's register to nobody.
func (f *folding) logout(id string) bool {
	if !f.stamp.After(f.m.reset) {
		return false
	}
	f.m.ends(f.stamp)
	row := f.m.sessions.find(sessionKey{id: id})
	switch {
	case row == nil:
		f.m.sessions.put(session{stamp: f.stamp, id: strings.Clone(id)})
	case !f.stamp.After(row.stamp):
		return false
	default:
		f.leave(row)
		f.r.people.drop(row.user)
		row.stamp, row.user, row.details = f.stamp, nil, nil
	}
	return true
}

// clear raises the clearing of a user.
func (f *folding) clear(name string) bool {
	if !f.stamp.After(f.m.reset) {
		return false
	}
	u := f.r.people.hold(name)
	c := f.m.cleared.find(u)
	if c != nil && !f.stamp.After(c.stamp) {
		f.r.people.drop(u)
		return false
	}
	f.leaveAll(u)
	f.m.ends(f.stamp)
	if c == nil {
		f.m.cleared.put(clearing{u, f.stamp})
		return true
	}
	f.r.people.drop(u) // the clearing holds the user already
	c.stamp = f.stamp
	return true
}

// leaveAll notes that all sessions of a user below the stamp end. Most users
// have the implicit one only; the others are looked for only if there are any.
func (f *folding) leaveAll(u *user) {
	row := f.m.sessions.find(sessionKey{user: u})
	if row != nil && f.stamp.After(row.stamp) {
		f.leave(row)
	}
	if u.on.find(f.m) == nil {
		return
	}
	for i := range f.m.sessions.rows {
		row := &f.m.sessions.rows[i]
		if row.id != "" && row.user == u && f.stamp.After(row.stamp) {
			f.leave(row)
		}
	}
}

// rise raises the machine's reset: all registers that are not above it are
// forgotten.
func (f *folding) rise() bool {
	m := f.m
	if !f.stamp.After(m.reset) {
		return false
	}
	m.sessions.keep(func(s *session) bool {
		if s.stamp.After(f.stamp) {
			return true
		}
		f.leave(s)
		f.r.people.drop(s.user)
		return false
	})
	m.cleared.keep(func(c *clearing) bool {
		if c.stamp.After(f.stamp) {
			return true
		}
		f.r.people.drop(c.user)
		return false
	})
	f.st.settle(m.reset.Place, f.stamp.Place)
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
		f.raise(&sessions[i])
	}
	return true
}

// tidy forgets what holds nothing open and is dated before the allowed
// lateness, once enough has come together to be worth a look, or at once.
func (m *machine) tidy(r *Roster, now bool) {
	before := m.newest.Add(-r.settings.AllowedLateness)
	if m.ended >= before || !now && m.remembered() < m.tidyAt {
		return
	}
	m.ended = math.MaxInt64
	// Sessions first: a clearing may be what keeps an older session closed.
	m.sessions.keep(func(s *session) bool {
		switch {
		case m.open(s):
			return true
		case s.stamp.Date >= before:
			m.ends(s.stamp)
			return true
		}
		r.people.drop(s.user)
		return false
	})
	m.cleared.keep(func(c *clearing) bool {
		if c.stamp.Date >= before {
			m.ends(c.stamp)
			return true
		}
		r.people.drop(c.user)
		return false
	})
	m.tidied()
}

// ends notes the date of a register that holds nothing open, or soon won't.
func (m *machine) ends(s Stamp) { m.ended = min(m.ended, s.Date) }

// tidied sets when to look again: when there is twice as much, so that a look
// costs each event the same however many registers there are.
func (m *machine) tidied() { m.tidyAt = max(32, 2*m.remembered()) }

// newDetails returns copies of a session's details, or nil if it has none.
func newDetails(s *Session) *details {
	if s.Since == 0 && s.Terminal == "" && s.Remote == "" && s.Service == "" {
		return nil
	}
	return &details{
		since:    s.Since,
		terminal: strings.Clone(s.Terminal),
		remote:   strings.Clone(s.Remote),
		service:  strings.Clone(s.Service),
	}
}
