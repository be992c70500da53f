package query

import (
	"context"
	"time"

	"rollcall/internal/past"
	"rollcall/internal/roster"
)

// HistoryRequest asks for the sessions that overlap a time.
type HistoryRequest struct {
	// Machine and User narrow it down; empty is any.
	Machine string `json:"machine,omitzero"`
	User    string `json:"user,omitzero"`
	// From and To are in RFC 3339, and inclusive; empty is as far as is known.
	From string `json:"from,omitzero"`
	To   string `json:"to,omitzero"`
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`

	from, to roster.Time
}

// HistoryAnswer has the sessions that overlap a time, by their beginning, then
// machine, user and session.
type HistoryAnswer struct {
	Head
	// Cursor asks for the sessions after these; empty when that was all.
	Cursor   string     `json:"cursor,omitzero"`
	Past     *Past      `json:"past"`
	Sessions []PastStay `json:"sessions"`
}

// PastStay is one session, from its beginning to its end.
type PastStay struct {
	Machine string `json:"machine"`
	Session
	// Ended is when it ended; zero for a session that is open, or whose end is
	// not known.
	Ended time.Time `json:"ended,omitzero"`
	// How it ended: one of the names of past.Endings.
	How string `json:"how"`
}

func (*HistoryRequest) aboutPast() bool { return true }

func (q *HistoryRequest) check() (err error) {
	for _, name := range [][2]string{{"machine", q.Machine}, {"user", q.User}} {
		if name[1] == "" {
			continue
		}
		if err := checkName(name[0], name[1]); err != nil {
			return err
		}
	}
	q.from, q.to = roster.MinDate, roster.MaxDate
	if q.From != "" {
		if q.from, err = parseTime("from", q.From); err != nil {
			return err
		}
	}
	if q.To != "" {
		q.to, err = parseTime("to", q.To)
	}
	return err
}

// history answers with the sessions that overlap a time.
func (s *Service) history(ctx context.Context, q *HistoryRequest) ([]byte, error) {
	found, err := s.recall(ctx, past.Question{Machine: q.Machine, User: q.User, Stays: true, From: q.from, To: q.to}, q.Cursor)
	if err != nil {
		return nil, err
	}
	a := HistoryAnswer{Sessions: []PastStay{}}
	a.Head, a.Past = s.headOfPast(found)
	stays := make([]PastStay, len(found.Stays))
	for i := range found.Stays {
		stay := &found.Stays[i]
		stays[i] = PastStay{stay.Machine, sessionOf(&stay.Session), timeOf(stay.Ended), stay.How.String()}
	}
	return encodeList(s.Conn.MaxPayload(), stays, takeAfter(found, len(stays)),
		func(next string) any { a.Cursor = next; return &a })
}
