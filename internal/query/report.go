package query

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sort"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// reportRequest is a question for the report, or for a part of it.
type reportRequest struct {
	api.ReportRequest
	asked     selection
	silentFor time.Duration // 0: any
	moment    moment        // if it is about the past
	after     cursor
}

var errLimit = errors.New("limit: want 1 or more, or omit it")

func (q *reportRequest) aboutPast() bool { return q.At != "" }

func (q *reportRequest) check() (err error) {
	if q.Limit != nil && *q.Limit == 0 {
		return errLimit
	}
	if err := q.checkFilter(); err != nil {
		return err
	}
	switch {
	case q.aboutPast() && (q.OnSeveral || q.SilentFor != "" || q.Longest != nil):
		return errors.New("at: not together with on_several, silent_for and longest")
	case q.aboutPast():
		question := q.ReportRequest
		question.Cursor, question.Limit = "", nil
		return q.moment.parse(q.At, q.Cursor, digestOf("report", &question))
	case q.Longest == nil:
	case *q.Longest < 1 || *q.Longest > maxLongest:
		return fmt.Errorf("longest: want 1 to %d", maxLongest)
	case q.Cursor != "" || q.Limit != nil:
		return errors.New("longest: has no pages: omit cursor and limit")
	}
	q.after, err = parseCursor(q.Cursor, 2)
	return err
}

// limit returns how many machines the answer may have.
func (q *reportRequest) limit() int {
	if q.Limit == nil {
		return math.MaxInt
	}
	return int(*q.Limit)
}

// report answers with the machines after the cursor that match the filter.
func (s *Service) report(ctx context.Context, q *reportRequest) ([]byte, error) {
	switch {
	case q.aboutPast():
		return s.reportAt(ctx, q)
	case q.Longest != nil:
		return s.longest(ctx, q)
	}
	// Read the position first: what is read later then includes every event up to
	// it.
	st := s.Roster.Status()
	head := s.Head(&st, s.now())
	answer := report.AppendHead(make([]byte, 0, 1<<10), &head)
	withCursor := len(answer) + len(`,"cursor":""`) + maxCursor
	room, err := report.PageCapacity(s.Conn.MaxPayload(), withCursor)
	if err != nil {
		return nil, err
	}
	rows, more := collectRows(s.Roster, q, head.When, room)
	for i := range rows {
		rows[i].Silent = s.Silent(rows[i].Heard, rows[i].Every, head.When)
	}
	machines, next := appendRows(make([]byte, 0, 1<<10), rows, more, room)
	head.Cursor = next
	return append(append(report.AppendHead(answer[:0], &head), machines...), report.End...), nil
}

// rowsAtOnce is how many machines are read at a time.
const rowsAtOnce = 64

// collectRows collects the machines that an answer may have, in order: the rest of
// the one that the cursor is within, then those after the cursor. It collects at
// least one, and stops once no more can fit in room bytes; more reports whether
// there are others.
func collectRows(r *roster.Roster, q *reportRequest, now time.Time, room int) (rows []report.Row, more bool) {
	if q.after.second != "" {
		if m, ok := restOfMachine(r, q); ok {
			rows = append(rows, m)
			room -= m.MinSize()
		}
	}
	for m := range q.rows(r, q.after.first, now, min(q.limit(), rowsAtOnce)+1) {
		//guard:drop room "the cost of a question depends on its answer, not on the fleet" TestGatherStops
		if len(rows) == q.limit() || room < 0 {
			return rows, true
		}
		rows = append(rows, m)
		room -= m.MinSize()
	}
	return rows, false
}

// restOfMachine returns the machine that the cursor is within, with the users after the
// cursor, if there are any.
func restOfMachine(r *roster.Roster, q *reportRequest) (m report.Row, found bool) {
	r.Machine(q.after.first, func(v roster.View) { m = report.RowOf(v, report.Row{}) })
	filtered := q.filterUsers(r, []report.Row{m})
	if len(filtered) == 0 {
		return m, false
	}
	m = filtered[0]
	after := sort.Search(len(m.Users), func(i int) bool { return m.Users[i] > q.after.second })
	m.Users = m.Users[after:]
	return m, len(m.Users) > 0
}

// appendRows appends as many machines as fit in room bytes; the last one may have
// only some of its users. It returns the cursor that continues after them, or "" if
// there are no more.
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
		//guard:drop room "an answer fits in a message" ^(TestAnswersByPayload|TestAnswersJoined)$
		case i > 0 && (n < len(m.Users) || len(b) > room):
			return b[:before], cursor{first: rows[i-1].Name}.String()
		case n < len(m.Users):
			return b, cursor{first: m.Name, second: m.Users[n-1]}.String()
		}
	}
	if more {
		return b, cursor{first: rows[len(rows)-1].Name}.String()
	}
	return b, ""
}
