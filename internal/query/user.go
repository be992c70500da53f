package query

import (
	"cmp"
	"context"
	"sort"
	"strings"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
)

// userRequest asks where a user is.
type userRequest struct {
	api.UserRequest
	moment moment // if it is about the past
	after  cursor
}

func (q *userRequest) aboutPast() bool { return q.At != "" }

func (q *userRequest) check() (err error) {
	if err := checkName("user", q.User); err != nil {
		return err
	}
	if q.aboutPast() {
		question := q.UserRequest
		question.Cursor = ""
		return q.moment.parse(q.At, q.Cursor, digestOf("user", &question))
	}
	q.after, err = parseCursor(q.Cursor, 2)
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
	//guard:false "a user nobody has ever heard of is not one who is nowhere" TestUnknownUser
	if len(open) == 0 && !s.isKnownUser(ctx, q.User) {
		return nil, unknownUser(q.User)
	}
	open = open[sort.Search(len(open), func(i int) bool {
		return cmp.Or(strings.Compare(open[i].Machine, q.after.first), strings.Compare(open[i].Session.ID, q.after.second)) > 0
	}):]
	stays := make([]api.Stay, len(open))
	places := make([]uint64, len(open))
	for i := range open {
		stays[i] = api.Stay{Machine: open[i].Machine, Session: sessionOf(&open[i].Session)}
		s.Roster.Machine(open[i].Machine, func(v roster.View) {
			stays[i].Silent, places[i] = s.Silent(v.Heard(), v.Every(), a.When), v.Place()
		})
	}
	s.sinceOf(ctx, q.User, places, stays)
	return encodeList(s.Conn.MaxPayload(), stays,
		cursorAfter(stays, func(last *api.Stay) cursor { return cursor{first: last.Machine, second: last.ID} }),
		func(next string) any { a.Cursor = next; return &a })
}

// isKnownUser reports whether any event ever named a user. It returns true if the history
// cannot tell.
func (s *Service) isKnownUser(ctx context.Context, name string) bool {
	return s.History == nil || len(s.Roster.User(name)) > 0 || s.History.KnowsUser(ctx, sinceWithin, name)
}

// userAt answers where a user was.
func (s *Service) userAt(ctx context.Context, q *userRequest) (answer []byte, err error) {
	at, future := s.resolve(&q.moment)
	err = s.view(ctx, &about{from: at, to: at, fleet: true}, func(v *history.View, head api.Head, past *api.Past) error {
		if err := s.checkKnown(v, &head, "", q.User); err != nil {
			return err
		}
		on, err := v.OnUser(at, q.User)
		if err != nil {
			return err
		}
		a := api.UserAnswer{Head: head, Past: momentOf(past, &q.moment, future), User: q.User, Sessions: []api.Stay{}}
		var stays []api.Stay
		for i := range on {
			after := q.moment.after
			if s := sessionOf(&on[i].Session); cmp.Or(strings.Compare(on[i].Machine, after.first), strings.Compare(s.ID, after.second)) > 0 {
				stays = append(stays, api.Stay{Machine: on[i].Machine, Session: s})
			}
		}
		answer, err = encodeList(s.Conn.MaxPayload(), stays,
			listCursor(stays, func(last *api.Stay) string { return q.moment.next(cursor{first: last.Machine, second: last.ID}) }),
			func(next string) any { a.Cursor = next; return &a })
		return err
	})
	return answer, err
}
