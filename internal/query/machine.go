package query

import (
	"cmp"
	"fmt"
	"sort"
	"strings"
	"time"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// MachineRequest asks who is on a machine.
type MachineRequest struct {
	Machine string `json:"machine"`
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`

	after cursor
}

// MachineAnswer says who is on a machine, by user and session.
type MachineAnswer struct {
	Head
	Machine string `json:"machine"`
	// Heard is the receipt of the last event accepted from it.
	Heard time.Time `json:"heard"`
	// Silent says that this was long ago: the sessions are the last known.
	Silent bool `json:"silent,omitzero"`
	// Cursor asks for the sessions after these; empty when that was all.
	Cursor   string    `json:"cursor,omitzero"`
	Sessions []Session `json:"sessions"`
}

func (q *MachineRequest) check() (err error) {
	if err := checkName("machine", q.Machine); err != nil {
		return err
	}
	q.after, err = parseCursor(q.Cursor)
	return err
}

// machine answers who is on a machine.
func (s *Service) machine(q *MachineRequest) ([]byte, error) {
	st := s.Roster.Status()
	a := MachineAnswer{Head: s.head(&st), Machine: q.Machine, Sessions: []Session{}}
	var heard roster.Time
	var open []roster.Session
	known := s.Roster.Machine(q.Machine, func(v roster.View) {
		heard, open = v.Heard(), v.AppendSessions(nil)
	})
	if !known {
		return nil, &refusal{rollcallv1.CodeNotFound, fmt.Sprintf("machine: %q is not known: no event was ever accepted from it", q.Machine)}
	}
	a.Heard, a.Silent = heard.Time(), s.Silent(heard, a.When)
	open = open[sort.Search(len(open), func(i int) bool {
		return cmp.Or(strings.Compare(open[i].User, q.after.first), strings.Compare(open[i].ID, q.after.second)) > 0
	}):]
	sessions := make([]Session, len(open))
	for i := range open {
		sessions[i] = sessionOf(&open[i])
	}
	return encodeList(s.Conn.MaxPayload(), sessions,
		func(last *Session) cursor { return cursor{last.User, last.ID} },
		func(next string) any { a.Cursor = next; return &a })
}
