package query

import (
	"cmp"
	"context"
	"sort"
	"strings"

	"rollcall/internal/past"
	"rollcall/internal/roster"
)

// UserRequest asks where a user is.
type UserRequest struct {
	User string `json:"user"`
	Moment
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`

	after cursor
}

// UserAnswer says where a user is, by machine and session: nowhere, when there
// are no sessions. A user who is nowhere is not told from one who never was
// anywhere.
type UserAnswer struct {
	Head
	User string `json:"user"`
	// Cursor asks for the sessions after these; empty when that was all.
	Cursor string `json:"cursor,omitzero"`
	// Past is nil when it was asked about now.
	Past     *Past  `json:"past,omitzero"`
	Sessions []Stay `json:"sessions"`
}

func (q *UserRequest) check() (err error) {
	if err := checkName("user", q.User); err != nil {
		return err
	}
	if q.aboutPast() {
		return q.Moment.check()
	}
	q.after, err = parseCursor(q.Cursor)
	return err
}

// user answers where a user is.
func (s *Service) user(ctx context.Context, q *UserRequest) ([]byte, error) {
	if q.aboutPast() {
		return s.userAt(ctx, q)
	}
	st := s.Roster.Status()
	a := UserAnswer{Head: s.head(&st), User: q.User, Sessions: []Stay{}}
	open := s.Roster.User(q.User)
	open = open[sort.Search(len(open), func(i int) bool {
		return cmp.Or(strings.Compare(open[i].Machine, q.after.first), strings.Compare(open[i].Session.ID, q.after.second)) > 0
	}):]
	stays := make([]Stay, len(open))
	for i := range open {
		stays[i] = Stay{Machine: open[i].Machine, Session: sessionOf(&open[i].Session)}
		s.Roster.Machine(open[i].Machine, func(v roster.View) { stays[i].Silent = s.Silent(v.Heard(), a.When) })
	}
	return encodeList(s.Conn.MaxPayload(), stays,
		cursorAfter(stays, func(last *Stay) cursor { return cursor{last.Machine, last.ID} }),
		func(next string) any { a.Cursor = next; return &a })
}

// userAt answers where a user was.
func (s *Service) userAt(ctx context.Context, q *UserRequest) ([]byte, error) {
	found, err := s.recall(ctx, past.Question{User: q.User, To: q.at}, q.Cursor)
	if err != nil {
		return nil, err
	}
	a := UserAnswer{User: q.User, Sessions: []Stay{}}
	a.Head, a.Past = s.headOfPast(found)
	stays := make([]Stay, len(found.On))
	for i := range found.On {
		stays[i] = Stay{Machine: found.On[i].Machine, Session: sessionOf(&found.On[i].Session)}
	}
	return encodeList(s.Conn.MaxPayload(), stays, takeAfter(found, len(stays)),
		func(next string) any { a.Cursor = next; return &a })
}
