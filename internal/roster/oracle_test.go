package roster_test

import (
	"sort"
	"time"

	"rollcall/internal/roster"
)

// oracle computes the roster as the script that rollcall grew from does: it sorts
// the accepted events by date, and folds them one by one into machine → who is on.
// It has no registers or stamps.
type oracle struct {
	skew, lateness time.Duration
	newest         map[string]roster.Time
	accepted       []roster.Message
}

func newOracle(skew, lateness time.Duration) *oracle {
	return &oracle{skew: skew, lateness: lateness, newest: map[string]roster.Time{}}
}

// read reads one message, in order of place, and returns the reason to refuse it,
// or "".
func (o *oracle) read(m roster.Message) roster.Reason {
	e := m.Event
	if e.Date > m.Receipt+roster.Time(o.skew) {
		return roster.Future
	}
	newest, known := o.newest[e.Machine]
	if known && e.Date < newest-roster.Time(o.lateness) {
		return roster.Late
	}
	o.newest[e.Machine] = max(newest, e.Date)
	o.accepted = append(o.accepted, m)
	return ""
}

// on is one open session.
type on struct {
	user, terminal, remote, service string
	since                           roster.Time
}

// name identifies a session of one machine: by id, or else by user.
type name struct{ id, user string }

// fold returns who is on: machine → session → user. It includes machines with
// nobody on.
func (o *oracle) fold() map[string]map[name]on {
	events := append([]roster.Message(nil), o.accepted...)
	sort.SliceStable(events, func(i, j int) bool { return events[i].Place < events[j].Place })
	sort.SliceStable(events, func(i, j int) bool { return events[i].Event.Date < events[j].Event.Date })
	machines := map[string]map[name]on{}
	for _, m := range events {
		e := m.Event
		if machines[e.Machine] == nil {
			machines[e.Machine] = map[name]on{}
		}
		sessions := machines[e.Machine]
		switch e.Type {
		case roster.Login:
			sessions[nameOf(e.Session)] = onOf(e.Session, e.Date)
		case roster.Logout:
			for n, s := range sessions {
				if e.Session.ID != "" && n.id == e.Session.ID || e.Session.ID == "" && s.user == e.Session.User {
					delete(sessions, n)
				}
			}
		case roster.Boot, roster.Shutdown:
			clear(sessions)
		case roster.Present:
			clear(sessions)
			for _, s := range e.Sessions {
				o := onOf(s, e.Date)
				if s.Since != 0 {
					o.since = s.Since
				}
				sessions[nameOf(s)] = o
			}
		}
	}
	return machines
}

// changed returns the newest date of a login or logout of each machine that had one.
func (o *oracle) changed() map[string]roster.Time {
	newest := map[string]roster.Time{}
	for _, m := range o.accepted {
		e := m.Event
		if isChange := e.Type == roster.Login || e.Type == roster.Logout; !isChange {
			continue
		}
		if date, ok := newest[e.Machine]; !ok || e.Date > date {
			newest[e.Machine] = e.Date
		}
	}
	return newest
}

func nameOf(s roster.Session) name {
	if s.ID != "" {
		return name{id: s.ID}
	}
	return name{user: s.User}
}

func onOf(s roster.Session, date roster.Time) on {
	return on{s.User, s.Terminal, s.Remote, s.Service, date}
}

// changedOf returns what the roster's views show, in the form of the oracle's changed.
func changedOf(r *roster.Roster) map[string]roster.Time {
	newest := map[string]roster.Time{}
	cut := r.Cut()
	defer cut.Close()
	for v := range cut.All() {
		if at := v.Changed(); !at.IsZero() {
			newest[v.Name()] = roster.TimeOf(at)
		}
	}
	return newest
}

// seen returns what the roster's views show, in the oracle's form.
func seen(r *roster.Roster) map[string]map[name]on {
	machines := map[string]map[name]on{}
	cut := r.Cut()
	defer cut.Close()
	for v := range cut.All() {
		machines[v.Name()] = map[name]on{}
		for _, s := range v.AppendSessions(nil) {
			machines[v.Name()][nameOf(s)] = onOf(s, s.Since)
		}
	}
	return machines
}
