package query

import (
	"context"

	"rollcall/internal/api"
	"rollcall/internal/past"
	"rollcall/internal/roster"
)

// historyRequest asks for the sessions that overlap a span of time.
type historyRequest struct {
	api.HistoryRequest
	from, to roster.Time
}

func (*historyRequest) aboutPast() bool { return true }

func (q *historyRequest) check() (err error) {
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

// history answers with the sessions that overlap a span of time.
func (s *Service) history(ctx context.Context, q *historyRequest) ([]byte, error) {
	found, err := s.askPast(ctx, past.Question{Machine: q.Machine, User: q.User, Stays: true, From: q.from, To: q.to}, q.Cursor)
	if err != nil {
		return nil, err
	}
	a := api.HistoryAnswer{Sessions: []api.PastStay{}}
	a.Head, a.Past = s.headOfPast(found)
	stays := make([]api.PastStay, len(found.Stays))
	for i := range found.Stays {
		stay := &found.Stays[i]
		stays[i] = api.PastStay{Machine: stay.Machine, Session: sessionOf(&stay.Session), Ended: timeOf(stay.Ended), How: stay.How.String()}
	}
	return encodeList(s.Conn.MaxPayload(), stays, pastCursorAfter(found, len(stays)),
		func(next string) any { a.Cursor = next; return &a })
}
