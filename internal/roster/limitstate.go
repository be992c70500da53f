package roster

// limitState is what the limits have done to a machine. Few machines have it.
type limitState struct {
	// floor is a date before which nothing opens: an event that opens a session
	// is late, and one that only ends a session leaves no register. It is the
	// moment after the newest date that was forgotten: for want of room (see
	// room.go), or before the roster continued with a greater allowed lateness.
	floor Time
	// refused is the greatest stamp of the events refused for want of room.
	refused Stamp
}

// floor returns the date before which a login is late; 0: there is none.
func (m *machine) floor() Time {
	if m.limits == nil {
		return 0
	}
	return m.limits.floor
}

// raiseFloor raises the floor to a date.
func (m *machine) raiseFloor(to Time) {
	if to > m.floor() {
		m.limits = &limitState{to, m.refused()}
	}
}

// refused returns the greatest stamp refused for want of room.
func (m *machine) refused() Stamp {
	if m.limits == nil {
		return Stamp{}
	}
	return m.limits.refused
}

// limited reports whether an event that was refused for want of room may be
// missing: no reset above it has come since.
func (m *machine) limited() bool { return m.limits != nil && m.limits.refused.After(m.reset) }

// forgets reports whether a register with this stamp is forgotten once it holds
// nothing open, whatever the machine's newest date.
func (m *machine) forgets(s Stamp) bool { return s.Date < m.floor() || !s.After(m.reset) }
