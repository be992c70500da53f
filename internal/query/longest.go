package query

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// maxLongest is how many of the longest sessions may be asked for.
const maxLongest = 1000

// longest answers with the sessions that have lasted longest, of those that match
// the filter.
func (s *Service) longest(q *reportRequest) ([]byte, error) {
	st := s.Roster.Status()
	a := api.LongestAnswer{Head: s.head(&st), Sessions: []api.Stay{}}
	silent := func(heard roster.Time) bool { return s.Silent(heard, a.When) }
	stays := q.longest(s.Roster, make(longest, 0, *q.Longest), a.When, silent)
	fit := true
	b, err := encodeList(s.Conn.MaxPayload(), stays,
		cursorAfter(stays, func(*api.Stay) cursor { return cursor{first: "more"} }),
		func(next string) any { fit = next == ""; return &a })
	if err == nil && !fit {
		err = &refusal{rollcallv1.CodeBadRequest, fmt.Sprintf("longest: %d sessions don't fit in one answer: ask for fewer", len(stays))}
	}
	return b, err
}

// longest fills l with the longest sessions that match the filter.
func (q *reportRequest) longest(r *roster.Roster, l longest, now time.Time, silent func(heard roster.Time) bool) longest {
	var open []roster.Session
	for m := range q.rows(r, "", now, rowsAtOnce) {
		if len(m.Users) == 0 {
			continue
		}
		r.Machine(m.Name, func(v roster.View) { open = v.AppendSessions(open[:0]) })
		for i := range open {
			s := &open[i]
			if _, on := slices.BinarySearch(m.Users, s.User); on && l.accepts(s) {
				l = l.insert(api.Stay{Machine: m.Name, Silent: silent(m.Heard), Session: sessionOf(s)})
			}
		}
	}
	return l
}

// longest has the longest of the sessions inserted, up to its capacity, the longest
// first, and equally long ones in the order of insertion.
type longest []api.Stay

// accepts reports whether a session belongs in l.
func (l longest) accepts(s *roster.Session) bool {
	return len(l) < cap(l) || s.Since.Time().Before(l[len(l)-1].Since)
}

// insert inserts an accepted session. If l is full, it drops the shortest one.
func (l longest) insert(s api.Stay) longest {
	at, _ := slices.BinarySearchFunc(l, s, func(a, b api.Stay) int {
		return cmp.Or(a.Since.Compare(b.Since), -1) // after those that are equal
	})
	if len(l) == cap(l) {
		l = l[:len(l)-1]
	}
	return slices.Insert(l, at, s)
}
