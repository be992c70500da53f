package query

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
)

// sessionsAt answers who was on, on which machines.
func (s *Service) sessionsAt(ctx context.Context, q *sessionsRequest) (answer []byte, err error) {
	at, future := s.resolve(&q.moment)
	q.after = q.moment.after
	about := &about{machines: q.asked.filter(), from: at, to: at, fleet: q.asked.names == nil}
	err = s.view(ctx, about, func(v *history.View, head api.Head, past *api.Past) error {
		if !q.Parts {
			if err := s.checkKnown(v, &head, "", q.User); err != nil {
				return err
			}
		}
		a := api.SessionsAnswer{Head: head, Past: momentOf(past, &q.moment, future), Machines: []api.MachineSessions{}}
		page, err := newSessionsPage(s.Conn.MaxPayload(), q, &a)
		if err != nil {
			return err
		}
		if err := s.fillAt(q, v, at, page); err != nil {
			return err
		}
		if page.full {
			a.Cursor = q.moment.next(page.next)
		}
		answer, err = page.encode(&a)
		return err
	})
	return answer, err
}

// fillAt fills a page with the machines of a past moment after the cursor.
func (s *Service) fillAt(q *sessionsRequest, v *history.View, at roster.Time, page *sessionsPage) error {
	if q.after.second != "" && q.asked.selects(q.after.first) {
		if going, err := page.addAt(q, v, at, q.after.first, false); err != nil || !going {
			return err
		}
	}
	names := q.asked.names
	if q.User != "" && !q.Parts {
		on, err := v.OnUser(at, q.User)
		if err != nil {
			return err
		}
		names = []string{}
		for i := range on {
			names = append(names, on[i].Machine)
		}
		names = slices.Compact(names)
	}
	if names != nil {
		return s.fillNamesAt(q, v, at, page, names)
	}
	var failed error
	start := time.Now()
	err := s.History.FleetAt(v, at, q.after.first, func(name string, users []string) (going bool) {
		if going = true; q.asked.selects(name) && (q.wantsEmpty() || slices.ContainsFunc(users, q.fields.matchUser)) {
			going, failed = page.addAt(q, v, at, name, q.wantsEmpty())
		}
		if going && time.Since(start) > pageTime {
			page.stopAfter(name)
			return false
		}
		return going
	})
	return cmp.Or(failed, err)
}

// fillNamesAt fills a page with the machines of these names that are asked for.
func (s *Service) fillNamesAt(q *sessionsRequest, v *history.View, at roster.Time, page *sessionsPage, names []string) error {
	silent := at.Add(-s.Roster.Settings().AllowedLateness)
	for _, name := range names {
		if name <= q.after.first || !q.asked.selects(name) {
			continue
		}
		heard, err := v.Heard(at, name, silent)
		if err != nil {
			return err
		}
		if going, err := page.addAt(q, v, at, name, heard && q.wantsEmpty()); err != nil || !going {
			return err
		}
	}
	return nil
}

// addAt adds a machine of a past moment with those of its sessions that are asked for. One
// without any is added only if empty is true.
func (p *sessionsPage) addAt(q *sessionsRequest, v *history.View, at roster.Time, name string, empty bool) (going bool, err error) {
	on, _, err := v.OnMachine(at, name)
	if err != nil {
		return false, err
	}
	m := api.MachineSessions{Name: name, Sessions: []api.Session{}}
	for i := range on {
		if s := &on[i].Session; q.wants(name, s) {
			m.Sessions = append(m.Sessions, sessionOf(s))
		}
	}
	if len(m.Sessions) == 0 && !empty {
		return true, nil
	}
	return p.add(&m)
}
