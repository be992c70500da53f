package query

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// maxLongest is how many of the longest sessions may be asked for.
const maxLongest = 1000

// longest answers with the sessions that have lasted longest, of those that match
// the filter.
func (s *Service) longest(ctx context.Context, q *reportRequest) ([]byte, error) {
	st := s.Roster.Status()
	a := api.LongestAnswer{Head: s.head(&st), Sessions: []api.Stay{}}
	l := s.longestKnown(ctx, q, &a.Head)
	s.addLongest(q, &a.Head, l)
	stays := l.stays
	fit := true
	b, err := encodeList(s.Conn.MaxPayload(), stays,
		cursorAfter(stays, func(*api.Stay) cursor { return cursor{first: "more"} }),
		func(next string) any { fit = next == ""; return &a })
	if err == nil && !fit {
		err = &refusal{rollcallv1.CodeBadRequest, fmt.Sprintf("longest: %d sessions don't fit in one answer: ask for fewer", len(stays))}
	}
	return b, err
}

// longestKnown returns the longest of the sessions whose beginning the history tells;
// none if it can't.
func (s *Service) longestKnown(ctx context.Context, q *reportRequest, h *api.Head) *longest {
	l := newLongest(q)
	read := s.readNow(ctx, allSinceWithin, func(v *history.View) error {
		return v.AllOpen(l.wants, func(stay *history.MachineStay) {
			one := api.Stay{Machine: stay.Machine, Session: sessionOf(&stay.Session)}
			if !l.accepts(&one) {
				return
			}
			if silent, ok := s.isOn(q, h, stay, v.Place()); ok {
				one.Silent = silent
				l.insert(one)
			}
		})
	})
	if !read {
		return newLongest(q)
	}
	return l
}

// isOn reports whether a session of the history is open in the roster and matches the
// filter, and the history has all events of its machine up to its place.
func (s *Service) isOn(q *reportRequest, h *api.Head, stay *history.MachineStay, place uint64) (silent, ok bool) {
	var row report.Row
	s.Roster.Machine(stay.Machine, func(v roster.View) {
		if ok = v.Shown() && v.Place() <= place && q.matches(v, h.When) && isOpen(v, &stay.Session); ok {
			row, silent = report.RowOf(v, report.Row{}), s.Silent(v.Heard(), v.Every(), h.When)
		}
	})
	if !ok {
		return false, false
	}
	filtered := q.filterUsers(s.Roster, []report.Row{row})
	return silent, len(filtered) > 0 && slices.Contains(filtered[0].Users, stay.Session.User)
}

func isOpen(v roster.View, s *roster.Session) bool {
	return slices.ContainsFunc(v.AppendSessions(nil), func(o roster.Session) bool { return o.ID == s.ID && o.User == s.User })
}

// addLongest adds the longest of the sessions in the roster that are not there yet. When
// they began is known from the roster only.
func (s *Service) addLongest(q *reportRequest, h *api.Head, l *longest) {
	var open []roster.Session
	for m := range q.rows(s.Roster, "", h.When, rowsAtOnce) {
		if len(m.Users) == 0 {
			continue
		}
		s.Roster.Machine(m.Name, func(v roster.View) { open = v.AppendSessions(open[:0]) })
		for i := range open {
			o := &open[i]
			_, on := slices.BinarySearch(m.Users, o.User)
			if !on || !l.wants(o.Since) {
				continue
			}
			stay := api.Stay{Machine: m.Name, Silent: s.Silent(m.Heard, m.Every, h.When), Session: sessionOf(o)}
			stay.SinceExact = inexact
			if l.accepts(&stay) && !l.has(&stay) {
				l.insert(stay)
			}
		}
	}
}

// longest has the longest of the sessions inserted, at most so many, the longest first,
// and equally long ones in byte order of machines, users and sessions.
type longest struct {
	most  int
	stays []api.Stay
}

func newLongest(q *reportRequest) *longest {
	return &longest{most: int(*q.Longest), stays: []api.Stay{}}
}

func (l *longest) full() bool { return len(l.stays) == l.most }

// wants reports whether a session that began then may be among the longest.
func (l *longest) wants(since roster.Time) bool {
	return !l.full() || since <= roster.TimeOf(l.stays[len(l.stays)-1].Since)
}

// accepts reports whether a session is among the longest.
func (l *longest) accepts(s *api.Stay) bool {
	return !l.full() || compareStays(*s, l.stays[len(l.stays)-1]) < 0
}

// has reports whether a session was inserted.
func (l *longest) has(s *api.Stay) bool {
	return slices.ContainsFunc(l.stays, func(o api.Stay) bool {
		return o.ID == s.ID && o.User == s.User && o.Machine == s.Machine
	})
}

// insert inserts a session, and drops the shortest if there are too many.
func (l *longest) insert(s api.Stay) {
	at, _ := slices.BinarySearchFunc(l.stays, s, compareStays)
	l.stays = slices.Insert(l.stays, at, s)
	l.stays = l.stays[:min(len(l.stays), l.most)]
}

func compareStays(a, b api.Stay) int {
	return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.Machine, b.Machine),
		strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
}
