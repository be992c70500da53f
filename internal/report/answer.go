package report

import (
	"sort"

	"rollcall/internal/roster"
)

// gather looks at the machines that an answer may have, in order: those after
// the cursor, first the rest of the one within which it stands. It takes at
// least one, and no more once they can't fit into room bytes; more tells
// whether there are others. Nothing is encoded here, as each look holds its
// machine.
func gather(r *roster.Roster, q question, room int) (rows []row, more bool) {
	if q.after.user != "" {
		if m, ok := restOf(r, q.after); ok {
			rows = append(rows, m)
			room -= m.leastSize()
		}
	}
	for v := range r.Machines(q.after.machine) {
		if len(rows) == q.limit || room < 0 {
			return rows, true
		}
		m := look(v, row{})
		rows = append(rows, m)
		room -= m.leastSize()
	}
	return rows, false
}

// restOf looks at the users of a machine that come after the cursor, if there
// are any.
func restOf(r *roster.Roster, c cursor) (m row, found bool) {
	r.Machine(c.machine, func(v roster.View) { m = look(v, row{}) })
	after := sort.Search(len(m.users), func(i int) bool { return m.users[i] > c.user })
	m.users = m.users[after:]
	return m, len(m.users) > 0
}

// leastSize is what the machine takes in JSON at the least.
func (m *row) leastSize() int {
	size := len(`{"machine":"","heard":"2006-01-02T15:04:05Z","users":[]},`) + len(m.name)
	for _, user := range m.users {
		size += len(`"",`) + len(user)
	}
	return size
}

// appendAnswer appends as many machines as fit into room bytes, of the last one
// perhaps a part, and returns the cursor that goes on after them, or "" when
// that was all.
func appendAnswer(b []byte, rows []row, more bool, room int) ([]byte, string) {
	for i := range rows {
		m := &rows[i]
		before := len(b)
		if i > 0 {
			b = append(b, ',')
		}
		var n int
		b, n = appendMachine(b, m.name, m.heard.Time(), m.users, room)
		switch {
		case i > 0 && (n < len(m.users) || len(b) > room):
			return b[:before], cursor{machine: rows[i-1].name}.String()
		case n < len(m.users):
			return b, cursor{m.name, m.users[n-1]}.String()
		}
	}
	if more {
		return b, cursor{machine: rows[len(rows)-1].name}.String()
	}
	return b, ""
}
