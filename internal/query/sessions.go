package query

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/history"
	"rollcall/internal/roster"
)

// sessionsRequest asks who is on, on which machines, in which sessions.
type sessionsRequest struct {
	api.SessionsRequest
	asked  selection
	fields fields
	moment moment // if it is about the past
	after  cursor
}

func (q *sessionsRequest) aboutPast() bool { return q.At != "" }

func (q *sessionsRequest) check() (err error) {
	if q.Limit != nil && *q.Limit == 0 {
		return errLimit
	}
	if err := cmp.Or(checkNames(q.Names), checkGlob(q.Machines)); err != nil {
		return err
	}
	q.asked = selectionOf(q.Names, q.Machines, q.Parts)
	w := wanted{q.User, q.Users, q.Remote, q.Service, q.ID, q.Parts}
	if q.fields, err = w.fields(); err != nil {
		return err
	}
	if q.aboutPast() {
		question := q.SessionsRequest
		question.Cursor, question.Limit = "", nil
		return q.moment.parse(q.At, q.Cursor, digestOf("sessions", &question))
	}
	q.after, err = parseCursor(q.Cursor, 3)
	return err
}

// wants reports whether a session is asked for, and comes after the cursor.
func (q *sessionsRequest) wants(machine string, s *roster.Session) bool {
	if machine == q.after.first && cmp.Or(strings.Compare(s.User, q.after.second), strings.Compare(s.ID, q.after.third)) <= 0 {
		return false
	}
	return q.fields.match(s)
}

// wantsEmpty reports whether machines with nobody on are asked for.
func (q *sessionsRequest) wantsEmpty() bool { return len(q.fields) == 0 }

// limit returns how many sessions the answer may have.
func (q *sessionsRequest) limit() int {
	if q.Limit == nil {
		return math.MaxInt
	}
	return int(*q.Limit)
}

// sessions answers who is on, on which machines.
func (s *Service) sessions(ctx context.Context, q *sessionsRequest) ([]byte, error) {
	if q.aboutPast() {
		return s.sessionsAt(ctx, q)
	}
	//guard:false "sessions of an unknown user are not none" TestSessionsOfUnknown
	if q.User != "" && !q.Parts && !s.isKnownUser(ctx, q.User) {
		return nil, unknownUser(q.User)
	}
	st := s.Roster.Status()
	a := api.SessionsAnswer{Head: s.head(&st), Machines: []api.MachineSessions{}}
	page, err := newSessionsPage(s.Conn.MaxPayload(), q, &a)
	if err != nil {
		return nil, err
	}
	if err := s.fillNow(ctx, q, page, a.When); err != nil {
		return nil, err
	}
	if page.full {
		a.Cursor = page.next.String()
	}
	return page.encode(&a)
}

// fillNow fills a page with the machines after the cursor.
func (s *Service) fillNow(ctx context.Context, q *sessionsRequest, page *sessionsPage, now time.Time) error {
	asked := q.asked // of the machines
	if q.User != "" && !q.Parts {
		// A few machines instead of the fleet.
		asked.names = slices.DeleteFunc(machinesWith(s.Roster, q.User), func(name string) bool { return !q.asked.selects(name) })
	}
	since := sinceReader{Service: s}
	after := q.after.first
	var machines []openMachine
	if q.after.second != "" && asked.selects(after) {
		s.Roster.Machine(after, func(v roster.View) {
			if m := s.openMachine(q, v, now); len(m.Sessions) > 0 {
				machines = append(machines, m)
			}
		})
	}
	for start := time.Now(); ; {
		more, last := s.openMachines(q, &asked, after, now)
		machines = append(machines, more...)
		since.set(ctx, machines)
		for i := range machines {
			if going, err := page.add(&machines[i].MachineSessions); err != nil || !going {
				return err
			}
		}
		if last == "" {
			return nil
		}
		after, machines = last, nil
		if time.Since(start) > pageTime {
			page.stopAfter(after)
			return nil
		}
	}
}

// machinesWith returns the names of the machines that a user is on, in order.
func machinesWith(r *roster.Roster, user string) []string {
	names := []string{}
	for _, stay := range r.User(user) {
		names = append(names, stay.Machine)
	}
	return slices.Compact(names)
}

// openMachine is a machine of an answer about now, and the place of what decides who is
// on it.
type openMachine struct {
	api.MachineSessions
	place uint64
}

// scanned is how many machines are looked at, at most, before those found are added to
// the page.
const scanned = 4096

// openMachines returns the first machines after one that have what is asked for, and the
// name of the last one that was looked at; "" if there are no more.
func (s *Service) openMachines(q *sessionsRequest, asked *selection, after string, now time.Time) (found []openMachine, last string) {
	n := 0
	for v := range asked.machines(s.Roster, after) {
		if n++; n > scanned || len(found) == rowsAtOnce {
			return found, last
		}
		last = v.Name()
		if !asked.selects(last) {
			continue
		}
		if m := s.openMachine(q, v, now); len(m.Sessions) > 0 || q.wantsEmpty() {
			found = append(found, m)
		}
	}
	return found, ""
}

// openMachine returns a machine with those of its sessions that are asked for.
func (s *Service) openMachine(q *sessionsRequest, v roster.View, now time.Time) openMachine {
	m := openMachine{place: v.Place(), MachineSessions: api.MachineSessions{
		Name: v.Name(), Heard: v.Heard().Time(), Silent: s.Silent(v.Heard(), v.Every(), now),
		Incomplete: v.Incomplete(), Missing: v.Missing(), Changed: v.Changed(), Sessions: []api.Session{},
	}}
	if v.UserCount() == 0 {
		return m
	}
	open := v.AppendSessions(nil)
	for i := range open {
		if q.wants(m.Name, &open[i]) {
			m.Sessions = append(m.Sessions, sessionOf(&open[i]))
		}
	}
	return m
}

// sinceReader reads when sessions began. Once the history did not answer in time, it is
// not asked again.
type sinceReader struct {
	*Service
	late bool
}

// set sets when the sessions of machines began, as sinceOn does.
func (r *sinceReader) set(ctx context.Context, machines []openMachine) {
	since, reached := opened{}, uint64(0)
	if !r.late && slices.ContainsFunc(machines, func(m openMachine) bool { return len(m.Sessions) > 0 }) {
		r.late = !r.readNow(ctx, allSinceWithin, func(v *history.View) error {
			reached = v.Place()
			for i := range machines {
				if len(machines[i].Sessions) == 0 {
					continue
				}
				list, err := v.OpenOn(machines[i].Name)
				if err != nil {
					return err
				}
				since.add(list)
			}
			return nil
		})
	}
	for i := range machines {
		m := &machines[i]
		for j := range m.Sessions {
			//guard:false "a session's since is the roster's until the history has its machine's events" TestSessionsSince
			if m.place > reached {
				m.Sessions[j].SinceExact = inexact
				continue
			}
			since.set(m.Name, &m.Sessions[j])
		}
	}
}
