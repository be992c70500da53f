package query

import (
	"cmp"
	"context"
	"fmt"
	"sort"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/past"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// machineRequest asks who is on a machine.
type machineRequest struct {
	api.MachineRequest
	at    roster.Time // the past moment asked about
	after cursor
}

func (q *machineRequest) aboutPast() bool { return q.At != "" }

func (q *machineRequest) check() (err error) {
	if err := checkName("machine", q.Machine); err != nil {
		return err
	}
	if q.aboutPast() {
		q.at, err = parseTime("at", q.At)
		return err
	}
	q.after, err = parseCursor(q.Cursor)
	return err
}

// machine answers who is on a machine.
func (s *Service) machine(ctx context.Context, q *machineRequest) ([]byte, error) {
	if q.aboutPast() {
		return s.machineAt(ctx, q)
	}
	st := s.Roster.Status()
	a := api.MachineAnswer{Head: s.head(&st), Machine: q.Machine, Sessions: []api.Session{}}
	var heard roster.Time
	var open []roster.Session
	known := s.Roster.Machine(q.Machine, func(v roster.View) {
		heard, open = v.Heard(), v.AppendSessions(nil)
		setMachineHead(&a.Head, &st, v, s.ReasonsOf(&st, v))
	})
	//guard:false "an unknown machine is not one with nobody on" TestRefusedQuestions
	if !known {
		return nil, unknownMachine(q.Machine)
	}
	a.Heard, a.Silent = heard.Time(), s.Silent(heard, a.When)
	open = open[sort.Search(len(open), func(i int) bool {
		return cmp.Or(strings.Compare(open[i].User, q.after.first), strings.Compare(open[i].ID, q.after.second)) > 0
	}):]
	sessions := make([]api.Session, len(open))
	for i := range open {
		sessions[i] = sessionOf(&open[i])
	}
	return encodeList(s.Conn.MaxPayload(), sessions,
		cursorAfter(sessions, func(last *api.Session) cursor { return cursor{last.User, last.ID} }),
		func(next string) any { a.Cursor = next; return &a })
}

// machineAt answers who was on a machine.
func (s *Service) machineAt(ctx context.Context, q *machineRequest) ([]byte, error) {
	found, err := s.askPast(ctx, past.Question{Machine: q.Machine, To: q.at}, q.Cursor)
	if err != nil {
		return nil, err
	}
	a := api.MachineAnswer{Machine: q.Machine, Sessions: []api.Session{}}
	a.Head, a.Past = s.headOfPast(found)
	var sessions []api.Session
	for i := range found.On {
		on := &found.On[i]
		a.Heard = timeOf(on.Heard)
		if on.Session.User != "" {
			sessions = append(sessions, sessionOf(&on.Session))
		}
	}
	return encodeList(s.Conn.MaxPayload(), sessions, pastCursorAfter(found, len(sessions)),
		func(next string) any { a.Cursor = next; return &a })
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
