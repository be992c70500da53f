package query

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/go-json-experiment/json"

	"rollcall/internal/past"
	"rollcall/internal/report"
)

// PastReport is a report of a past moment, or one page of it.
type PastReport struct {
	ID string `json:"report"`
	Head
	// Cursor asks for what comes after this answer; empty on the last.
	Cursor string `json:"cursor,omitzero"`
	Past   *Past  `json:"past"`
	// Machines are in byte order of their names. One that doesn't fit goes on
	// at the beginning of the next page.
	Machines []PastMachine `json:"machines"`
}

// PastMachine is one machine of a report of a past moment.
type PastMachine struct {
	Name string `json:"machine"`
	// Heard is the newest receipt of an event dated by then; zero when the
	// stream no longer has one.
	Heard time.Time `json:"heard,omitzero"`
	// Users are those who were on, in byte order of their names.
	Users []string `json:"users"`
}

// reportAt answers with the machines of a past moment.
func (s *Service) reportAt(ctx context.Context, q *ReportRequest) ([]byte, error) {
	found, err := s.recall(ctx, past.Question{To: q.at}, q.Cursor)
	if err != nil {
		return nil, err
	}
	st := s.Roster.Status()
	a := PastReport{ID: s.Source.Head(&st, s.now()).ID, Cursor: strings.Repeat("x", maxCursor), Machines: []PastMachine{}}
	a.Head, a.Past = s.headOfPast(found)
	b, err := json.Marshal(&a)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	room, err := report.RoomFor(s.Conn.MaxPayload(), len(b))
	if err != nil {
		return nil, err
	}
	var rows int
	a.Machines, rows = q.machinesOf(found.On, room)
	a.Cursor = found.Take(rows)
	if b, err = json.Marshal(&a); err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	return b, nil
}

// machinesOf returns the machines of the filter with those who were on, as far
// as they fit into room bytes and at least one, and of how many rows these are.
// The sessions of one user are never taken apart.
func (q *ReportRequest) machinesOf(rows []past.On, room int) (machines []PastMachine, taken int) {
	machines = []PastMachine{}
	var last *PastMachine
	for i := range rows {
		row := &rows[i]
		if !Matches(q.Machines, row.Machine) {
			continue
		}
		user := row.Session.User
		another := last == nil || last.Name != row.Machine
		switch {
		case another && len(machines) == q.limit():
			return machines, i
		case another:
			room -= mostQuoted(row.Machine) + len(`{"machine":,"heard":"2006-01-02T15:04:05.999999999Z","users":[]},`)
		case last.Users[len(last.Users)-1] == user:
			continue
		}
		room -= mostQuoted(user) + len(",")
		if room < 0 && last != nil {
			return machines, i
		}
		if another {
			machines = append(machines, PastMachine{row.Machine, timeOf(row.Heard), []string{}})
			last = &machines[len(machines)-1]
		}
		if user != "" {
			last.Users = append(last.Users, user)
		}
	}
	return machines, len(rows)
}

// mostQuoted is how long a name may be in JSON: of its characters only quotes
// and backslashes have to be escaped.
func mostQuoted(name string) int { return 2*len(name) + len(`""`) }
