package roster

// Registers are a machine's registers, for callers that fold other events on top
// of them.
type Registers struct {
	// Newest is the newest date accepted from the machine.
	Newest Time
	// Reset is the stamp of the last boot, shutdown or present; zero if there
	// was none.
	Reset Stamp
	// Sessions and Cleared are in no particular order. None is below Reset.
	Sessions []SessionRegister
	Cleared  []ClearedRegister
}

// SessionRegister is the register of one session.
type SessionRegister struct {
	Stamp Stamp
	// Session is what the event with this stamp set; without a user, nobody is on.
	Session Session
	// Open reports whether the user is on.
	Open bool
}

// ClearedRegister is the register of a user who was logged out of all sessions.
type ClearedRegister struct {
	Stamp Stamp
	User  string
}

// Registers returns copies of the machine's registers.
func (v View) Registers() Registers {
	r := Registers{Newest: v.m.newest, Reset: v.m.reset}
	for i := range v.m.sessions.Rows {
		s := &v.m.sessions.Rows[i]
		register := SessionRegister{Stamp: s.stamp, Session: v.session(s), Open: v.m.isOpen(s)}
		if s.user == 0 {
			register.Session = Session{ID: register.Session.ID}
		}
		r.Sessions = append(r.Sessions, register)
	}
	for _, c := range v.m.clearings() {
		r.Cleared = append(r.Cleared, ClearedRegister{c.stamp, v.people.name(c.user)})
	}
	return r
}

// Newest returns the newest date accepted from the machine.
func (v View) Newest() Time { return v.m.newest }
