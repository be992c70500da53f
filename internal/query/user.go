package query

import (
	"cmp"
	"context"
	"sort"
	"strings"

	"rollcall/internal/api"
	"rollcall/internal/past"
	"rollcall/internal/roster"
)

// userRequest asks where a user is.
type userRequest struct {
	api.UserRequest
	at    roster.Time // the past moment asked about
	after cursor
}

func (q *userRequest) aboutPast() bool { return q.At != "" }

func (q *userRequest) check() (err error) {
	if err := checkName("user", q.User); err != nil {
		return err
	}
	if q.aboutPast() {
		q.at, err = parseTime("at", q.At)
		return err
	}
	q.after, err = parseCursor(q.Cursor)
	return err
}

// user answers where a user is.
func (s *Service) user(ctx context.Context, q *userRequest) ([]byte, error) {
	if q.aboutPast() {
		return s.userAt(ctx, q)
	}
	st := s.Roster.Status()
	a := api.UserAnswer{Head: s.head(&st), User: q.User, Sessions: []api.Stay{}}
	open := s.Roster.User(q.User)
	open = open[sort.Search(len(open), func(i int) bool {
		return cmp.Or(strings.Compare(open[i].Machine, q.after.first), strings.Compare(open[i].Session.ID, q.after.second)) > 0
	}):]
	stays := make([]api.Stay, len(open))
	for i := range open {
		stays[i] = api.Stay{Machine: open[i].Machine, Session: sessionOf(&open[i].Session)}
		s.Roster.Machine(open[i].Machine, func(v roster.View) { stays[i].Silent = s.Silent(v.Heard(), a.When) })
	}
	return encodeList(s.Conn.MaxPayload(), stays,
		cursorAfter(stays, func(last *api.Stay) cursor { return cursor{last.Machine, last.ID} }),
		func(next string) any { a.Cursor = next; return &a })
}

// userAt answers where a user was.
func (s *Service) userAt(ctx context.Context, q *userRequest) ([]byte, error) {
	found, err := s.askPast(ctx, past.Question{User: q.User, To: q.at}, q.Cursor)
	if err != nil {
		return nil, err
	}
	a := api.UserAnswer{User: q.User, Sessions: []api.Stay{}}
	a.Head, a.Past = s.headOfPast(found)
	stays := make([]api.Stay, len(found.On))
	for i := range found.On {
		stays[i] = api.Stay{Machine: found.On[i].Machine, Session: sessionOf(&found.On[i].Session)}
	}
	return encodeList(s.Conn.MaxPayload(), stays, pastCursorAfter(found, len(stays)),
		func(next string) any { a.Cursor = next; return &a })
}
