package query

import (
	"context"
	"fmt"
	"strings"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/past"
	"rollcall/internal/report"
)

// reportAt answers with the machines of a past moment.
func (s *Service) reportAt(ctx context.Context, q *reportRequest) ([]byte, error) {
	found, err := s.askPast(ctx, past.Question{To: q.at}, q.Cursor)
	if err != nil {
		return nil, err
	}
	st := s.Roster.Status()
	a := api.PastReport{ID: s.Source.Head(&st, s.now()).ID, Cursor: strings.Repeat("x", maxCursor), Machines: []api.PastMachine{}}
	a.Head, a.Past = s.headOfPast(found)
	b, err := json.Marshal(&a)
	if err != nil {
		return nil, fmt.Errorf("encoding the answer: %w", err)
	}
	room, err := report.PageCapacity(s.Conn.MaxPayload(), len(b))
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

// machinesOf returns the machines that match the filter, with the users who were
// on: as many as fit in room bytes, but at least one. It also returns how many rows
// they comprise. The sessions of one user are never split.
func (q *reportRequest) machinesOf(rows []past.On, room int) (machines []api.PastMachine, taken int) {
	machines = []api.PastMachine{}
	var last *api.PastMachine
	for i := range rows {
		row := &rows[i]
		if !api.Matches(q.Machines, row.Machine) {
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
			machines = append(machines, api.PastMachine{Name: row.Machine, Heard: timeOf(row.Heard), Users: []string{}})
			last = &machines[len(machines)-1]
		}
		if user != "" {
			last.Users = append(last.Users, user)
		}
	}
	return machines, len(rows)
}

// mostQuoted returns the greatest length of a name in JSON: only quotes and
// backslashes have to be escaped in it.
func mostQuoted(name string) int { return 2*len(name) + len(`""`) }
