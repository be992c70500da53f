package query

import (
	"context"
	"slices"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nuid"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// reportAt answers with the machines of a past moment.
func (s *Service) reportAt(ctx context.Context, q *reportRequest) ([]byte, error) {
	at, future := s.resolve(&q.moment)
	about := &about{machines: q.asked.filter(), from: at, to: at, fleet: q.asked.names == nil}
	a := api.PastReport{ID: nuid.Next()}
	page := &machinePage{reportRequest: q, at: at, after: q.moment.after}
	err := s.view(ctx, about, func(v *history.View, head api.Head, past *api.Past) (err error) {
		a.Head, a.Past = head, momentOf(past, &q.moment, future)
		if page.room, err = roomOf(s.Conn.MaxPayload(), &a); err != nil {
			return err
		}
		if q.asked.names != nil {
			return page.addNames(v, at.Add(-s.Roster.Settings().AllowedLateness))
		}
		if err := page.addRest(v); err != nil || page.full {
			return err
		}
		return s.History.FleetAt(v, at, page.after.first, page.add)
	})
	if err != nil {
		return nil, err
	}
	a.Machines = page.machines
	if page.full {
		a.Cursor = q.moment.next(page.next)
	}
	return json.Marshal(&a)
}

// roomOf returns how many bytes the machines of a report may take.
func roomOf(maxPayload int64, a *api.PastReport) (int, error) {
	head, err := json.Marshal(a)
	if err != nil {
		return 0, err
	}
	return report.PageCapacity(maxPayload, len(head)+len(`"cursor":"",`)+maxCursor)
}

// machinePage collects as many machines as fit in a message, and at least some users of
// one.
type machinePage struct {
	*reportRequest
	at       roster.Time
	after    cursor
	room     int
	machines []api.PastMachine
	full     bool
	next     cursor // if it is full
}

// add adds a machine if it matches the filter, with those of its users who fit. It
// returns false once the page is full.
func (p *machinePage) add(name string, users []string) bool {
	if !p.asked.selects(name) {
		return true
	}
	p.room -= mostQuoted(name) + len(`{"machine":,"users":[]},`)
	//guard:drop limit "a report has no more machines than asked for" TestPastInPages
	//guard:set "p.room < 0" false "a report of a past moment fits in a message" TestPastOfManyWithNobody
	if n := len(p.machines); n == p.limit() || n > 0 && p.room < 0 {
		p.full, p.next = true, cursor{first: p.machines[n-1].Name}
		return false
	}
	for i, user := range users {
		if p.room -= mostQuoted(user) + len(","); p.room < 0 && i > 0 {
			p.full, p.next = true, cursor{first: name, second: users[i-1]}
			users = users[:i]
			break
		}
	}
	p.machines = append(p.machines, api.PastMachine{Name: name, Users: users})
	return !p.full
}

// addRest adds the rest of the machine that the cursor is within.
func (p *machinePage) addRest(v *history.View) error {
	if p.after.second == "" {
		return nil
	}
	users, err := usersOn(v, p.at, p.after)
	if len(users) > 0 {
		p.add(p.after.first, users)
	}
	return err
}

// addNames adds the machines that the request names and that were heard.
func (p *machinePage) addNames(v *history.View, silent roster.Time) error {
	if err := p.addRest(v); err != nil {
		return err
	}
	for _, name := range p.asked.names {
		if name <= p.after.first || p.full {
			continue
		}
		users, err := usersOn(v, p.at, cursor{first: name})
		if err != nil {
			return err
		}
		heard, err := v.Heard(p.at, name, silent)
		if err != nil {
			return err
		}
		if len(users) > 0 || heard {
			p.add(name, users)
		}
	}
	return nil
}

// usersOn returns who was on a machine, in order, after a user.
func usersOn(v *history.View, at roster.Time, after cursor) ([]string, error) {
	list, _, err := v.OnMachine(at, after.first)
	var users []string
	for i := range list {
		if user := list[i].Session.User; user > after.second {
			users = append(users, user)
		}
	}
	//guard:set slices.Compact(...) users "a user with two sessions is one user of a report" TestPastInPages
	return slices.Compact(users), err
}
