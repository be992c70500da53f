package query

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// machineRequest asks who is on a machine.
type machineRequest struct {
	api.MachineRequest
	moment moment // if it is about the past
	after  cursor
}

func (q *machineRequest) aboutPast() bool { return q.At != "" }

func (q *machineRequest) check() (err error) {
	if err := checkName("machine", q.Machine); err != nil {
		return err
	}
	if q.aboutPast() {
		question := q.MachineRequest
		question.Cursor = ""
		return q.moment.parse(q.At, q.Cursor, digestOf("machine", &question))
	}
	q.after, err = parseCursor(q.Cursor, 2)
	return err
}

// machine answers who is on a machine.
func (s *Service) machine(ctx context.Context, q *machineRequest) ([]byte, error) {
	if q.aboutPast() {
		return s.machineAt(ctx, q)
	}
	st := s.Roster.Status()
	a := api.MachineAnswer{Head: s.head(&st), Machine: q.Machine, Sessions: []api.Session{}}
	var place uint64
	var open []roster.Session
	known := s.Roster.Machine(q.Machine, func(v roster.View) {
		place, open = v.Place(), v.AppendSessions(nil)
		a.Heard, a.Newest, a.Silent = v.Heard().Time(), v.Newest().Time(), s.Silent(v.Heard(), v.Every(), a.When)
		a.Changed, a.Missing, a.Origins = v.Changed(), v.Missing(), originsOf(v)
		setMachineHead(&a.Head, &st, v, s.ReasonsOf(&st, v))
	})
	//guard:false "an unknown machine is not one with nobody on" TestRefusedQuestions
	if !known {
		return nil, unknownMachine(q.Machine)
	}
	open = open[sort.Search(len(open), func(i int) bool {
		return cmp.Or(strings.Compare(open[i].User, q.after.first), strings.Compare(open[i].ID, q.after.second)) > 0
	}):]
	sessions := make([]api.Session, len(open))
	for i := range open {
		sessions[i] = sessionOf(&open[i])
	}
	s.sinceOn(ctx, q.Machine, place, sessions)
	return encodeList(s.Conn.MaxPayload(), sessions,
		cursorAfter(sessions, func(last *api.Session) cursor { return cursor{first: last.User, second: last.ID} }),
		func(next string) any { a.Cursor = next; return &a })
}

// machineAt answers who was on a machine.
func (s *Service) machineAt(ctx context.Context, q *machineRequest) (answer []byte, err error) {
	at, future := s.resolve(&q.moment)
	about := &about{machines: history.Filter{Machines: []string{q.Machine}}, from: at, to: at}
	err = s.view(ctx, about, func(v *history.View, head api.Head, past *api.Past) error {
		if err := s.checkKnown(v, &head, q.Machine, ""); err != nil {
			return err
		}
		on, _, err := v.OnMachine(at, q.Machine)
		if err != nil {
			return err
		}
		a := api.MachineAnswer{Head: head, Past: momentOf(past, &q.moment, future), Machine: q.Machine, Sessions: []api.Session{}}
		var sessions []api.Session
		for i := range on {
			after := q.moment.after
			if s := sessionOf(&on[i].Session); cmp.Or(strings.Compare(s.User, after.first), strings.Compare(s.ID, after.second)) > 0 {
				sessions = append(sessions, s)
			}
		}
		answer, err = encodeList(s.Conn.MaxPayload(), sessions,
			listCursor(sessions, func(last *api.Session) string { return q.moment.next(cursor{first: last.User, second: last.ID}) }),
			func(next string) any { a.Cursor = next; return &a })
		return err
	})
	return answer, err
}

// originsOf returns the origins of a machine's events.
func originsOf(v roster.View) []api.Origin {
	var list []api.Origin
	for _, o := range v.Origins() {
		list = append(list, api.Origin{Origin: o.Name, Number: o.Number, Date: o.Date.Time(), Missing: o.Missing, Reused: o.Reused})
	}
	return list
}

// setMachineHead changes h to the head of an answer about one machine, with these
// reasons for being incomplete.
func setMachineHead(h *api.Head, st *roster.Status, v roster.View, reasons []string) {
	h.Complete, h.Reasons = len(reasons) == 0, reasons
	h.Unsettled, h.SettlesAfter, h.CompleteAfter = 0, time.Time{}, time.Time{}
	if !v.Settled() {
		h.Unsettled, h.SettlesAfter = 1, timeOf(st.SettlesAfter())
	}
}

func unknownMachine(name string) error {
	return &refusal{rollcallv1.CodeNotFound, fmt.Sprintf("machine: %q is unknown: rollcall has accepted no event from it", name)}
}

func unknownUser(name string) error {
	return &refusal{rollcallv1.CodeNotFound, fmt.Sprintf("user: %q is unknown: rollcall has accepted no event about this user", name)}
}
