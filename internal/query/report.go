package query

import (
	"errors"
	"math"
	"sort"
	"strings"

	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// ReportRequest is a question for the report, or for a part of it.
type ReportRequest struct {
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
	// Limit is how many machines the answer may have at most, from 1; nil: as
	// many as fit.
	Limit *uint32 `json:"limit,omitzero"`

	after cursor
}

func (q *ReportRequest) check() (err error) {
	if q.Limit != nil && *q.Limit == 0 {
		return errors.New("limit: want 1 or more, or leave it out")
	}
	q.after, err = parseCursor(q.Cursor)
	return err
}

// limit is how many machines the answer may have.
func (q *ReportRequest) limit() int {
	if q.Limit == nil {
		return math.MaxInt
	}
	return int(*q.Limit)
}

// report answers with the machines after the cursor.
func (s *Service) report(q *ReportRequest) ([]byte, error) {
	// The position first: every event up to there is in what is read after.
	st := s.Roster.Status()
	head := s.Head(&st, s.now())
	head.Cursor = strings.Repeat("x", maxCursor)
	room, err := report.RoomFor(s.Conn.MaxPayload(), len(head.AppendHead(nil)))
	if err != nil {
		return nil, err
	}
	rows, more := gather(s.Roster, q, room)
	for i := range rows {
		rows[i].Silent = s.Silent(rows[i].Heard, head.When)
	}
	machines, next := appendRows(nil, rows, more, room)
	head.Cursor = next
	return append(append(head.AppendHead(nil), machines...), report.End...), nil
}

// gather looks at the machines that an answer may have, in order: those after
// the cursor, first the rest of the one within which it stands. It takes at
// least one, and no more once they can't fit into room bytes; more tells
// whether there are others. Nothing is encoded here, as each look holds its
// machine.
func gather(r *roster.Roster, q *ReportRequest, room int) (rows []report.Row, more bool) {
	if q.after.second != "" {
		if m, ok := restOf(r, q.after); ok {
			rows = append(rows, m)
			room -= m.LeastSize()
		}
	}
	for v := range r.Machines(q.after.first) {
		if len(rows) == q.limit() || room < 0 {
			return rows, true
		}
		m := report.Look(v, report.Row{})
		rows = append(rows, m)
		room -= m.LeastSize()
	}
	return rows, false
}

// restOf looks at the users of a machine that come after the cursor, if there
// are any.
func restOf(r *roster.Roster, c cursor) (m report.Row, found bool) {
	r.Machine(c.first, func(v roster.View) { m = report.Look(v, report.Row{}) })
	after := sort.Search(len(m.Users), func(i int) bool { return m.Users[i] > c.second })
	m.Users = m.Users[after:]
	return m, len(m.Users) > 0
}

// appendRows appends as many machines as fit into room bytes, of the last one
// perhaps a part, and returns the cursor that goes on after them, or "" when
// that was all.
func appendRows(b []byte, rows []report.Row, more bool, room int) ([]byte, string) {
	for i := range rows {
		m := &rows[i]
		before := len(b)
		if i > 0 {
			b = append(b, ',')
		}
		var n int
		b, n = m.Append(b, room)
		switch {
		case i > 0 && (n < len(m.Users) || len(b) > room):
			return b[:before], cursor{first: rows[i-1].Name}.String()
		case n < len(m.Users):
			return b, cursor{m.Name, m.Users[n-1]}.String()
		}
	}
	if more {
		return b, cursor{first: rows[len(rows)-1].Name}.String()
	}
	return b, ""
}
