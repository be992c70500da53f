package roster

// limitState is what the limits have done to a machine. Few machines have it.
type limitState struct {
	// floor is a date before which nothing opens: an event dated before it that
	// opens a session is late, and one that only ends a session leaves no register.
	// It lies just after the newest date that was evicted (see evict.go), or that
	// had expired before the allowed lateness was raised (see Restore).
	floor Time
	// refused is the greatest stamp of the events refused because of a limit.
	refused Stamp
}

// floor returns the date before which a login is late; 0: none.
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

// refused returns the greatest stamp refused because of a limit.
func (m *machine) refused() Stamp {
	if m.limits == nil {
		return Stamp{}
	}
	return m.limits.refused
}

// limited reports whether an event refused because of a limit may still be missing
// from the machine: no reset has a greater stamp.
func (m *machine) limited() bool { return m.limits != nil && m.limits.refused.After(m.reset) }

// forgets reports whether a register with this stamp is dropped once it is closed,
// whatever the machine's newest date.
func (m *machine) forgets(s Stamp) bool { return s.Date < m.floor() || !s.After(m.reset) }
