package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

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
	Filter
	// The moment goes together with Machines, and no other part.
	Moment
	// Longest asks for so many sessions, at most 1000, in place of the machines:
	// those that have lasted longest. The answer is a LongestAnswer.
	Longest *uint32 `json:"longest,omitzero"`

	after cursor
}

func (q *ReportRequest) check() (err error) {
	if q.Limit != nil && *q.Limit == 0 {
		return errors.New("limit: want 1 or more, or leave it out")
	}
	if err := q.Filter.check(); err != nil {
		return err
	}
	switch {
	case q.aboutPast() && (q.OnSeveral || q.SilentFor != "" || q.Longest != nil):
		return errors.New("at: not together with on_several, silent_for and longest")
	case q.aboutPast():
		return q.Moment.check()
	case q.Longest == nil:
	case *q.Longest < 1 || *q.Longest > maxLongest:
		return fmt.Errorf("longest: want 1 to %d", maxLongest)
	case q.Cursor != "" || q.Limit != nil:
		return errors.New("longest: has no pages: leave cursor and limit out")
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

// report answers with the machines of the filter after the cursor.
func (s *Service) report(ctx context.Context, q *ReportRequest) ([]byte, error) {
	switch {
	case q.aboutPast():
		return s.reportAt(ctx, q)
	case q.Longest != nil:
		return s.longest(q)
	}
	// The position first: every event up to there is in what is read after.
	st := s.Roster.Status()
	head := s.Head(&st, s.now())
	answer := head.AppendHead(make([]byte, 0, 1<<10))
	withCursor := len(answer) + len(`,"cursor":""`) + maxCursor
	room, err := report.RoomFor(s.Conn.MaxPayload(), withCursor)
	if err != nil {
		return nil, err
	}
	rows, more := gather(s.Roster, q, head.When, room)
	for i := range rows {
		rows[i].Silent = s.Silent(rows[i].Heard, head.When)
	}
	machines, next := appendRows(make([]byte, 0, 1<<10), rows, more, room)
	head.Cursor = next
	return append(append(head.AppendHead(answer[:0]), machines...), report.End...), nil
}

// lookAtOnce is how many machines are looked at before it is seen whether they
// are enough.
const lookAtOnce = 64

// gather looks at the machines that an answer may have, in order: those after
// the cursor, first the rest of the one within which it stands. It takes at
// least one, and no more once they can't fit into room bytes; more tells
// whether there are others.
func gather(r *roster.Roster, q *ReportRequest, now time.Time, room int) (rows []report.Row, more bool) {
	if q.after.second != "" {
		if m, ok := restOf(r, q); ok {
			rows = append(rows, m)
			room -= m.LeastSize()
		}
	}
	for m := range q.rows(r, q.after.first, now, min(q.limit(), lookAtOnce)+1) {
		if len(rows) == q.limit() || room < 0 {
			return rows, true
		}
		rows = append(rows, m)
		room -= m.LeastSize()
	}
	return rows, false
}

// restOf looks at the users of a machine that come after the cursor, if there
// are any.
func restOf(r *roster.Roster, q *ReportRequest) (m report.Row, found bool) {
	r.Machine(q.after.first, func(v roster.View) { m = report.Look(v, report.Row{}) })
	left := q.leave(r, []report.Row{m})
	if len(left) == 0 {
		return m, false
	}
	m = left[0]
	after := sort.Search(len(m.Users), func(i int) bool { return m.Users[i] > q.after.second })
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
