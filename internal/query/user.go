package query

import (
	"cmp"
	"sort"
	"strings"

	"rollcall/internal/roster"
)

// UserRequest asks where a user is.
type UserRequest struct {
	User string `json:"user"`
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
	Cursor   string `json:"cursor,omitzero"`
	Sessions []Stay `json:"sessions"`
}

func (q *UserRequest) check() (err error) {
	if err := checkName("user", q.User); err != nil {
		return err
	}
	q.after, err = parseCursor(q.Cursor)
	return err
}

// user answers where a user is.
func (s *Service) user(q *UserRequest) ([]byte, error) {
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
		func(last *Stay) cursor { return cursor{last.Machine, last.ID} },
		func(next string) any { a.Cursor = next; return &a })
}
