package past

import (
	"cmp"
	"slices"
	"time"

	"rollcall/internal/roster"
)

// oracle says what the past must be, in the manner of the script that rollcall
// grew from: sort the accepted events by date and fold them one by one. It
// knows nothing of registers, lanes or memory.
type oracle struct {
	lateness time.Duration
	newest   map[string]roster.Time
	accepted []roster.Message
}

func newOracle(lateness time.Duration) *oracle {
	return &oracle{lateness: lateness, newest: map[string]roster.Time{}}
}

// read takes a message that was stored, in the order of the stream.
func (o *oracle) read(m roster.Message) {
	e := m.Event
	if e.Date > m.Receipt+roster.Time(10*time.Minute) {
		return
	}
	if newest, known := o.newest[e.Machine]; known && e.Date < newest-roster.Time(o.lateness) {
		return
	}
	o.newest[e.Machine] = max(o.newest[e.Machine], e.Date)
	o.accepted = append(o.accepted, m)
}

// greatest is the greatest date read.
func (o *oracle) greatest() roster.Time {
	var greatest roster.Time
	for _, date := range o.newest {
		greatest = max(greatest, date)
	}
	return greatest
}

func inOrder(messages []roster.Message) []roster.Message {
	messages = slices.Clone(messages)
	slices.SortFunc(messages, func(a, b roster.Message) int {
		return cmp.Or(cmp.Compare(a.Event.Date, b.Event.Date), cmp.Compare(a.Place, b.Place))
	})
	return messages
}

// sessionName tells the sessions of a machine apart.
type sessionName struct{ id, user string }

func nameOf(s roster.Session) sessionName {
	if s.ID != "" {
		return sessionName{id: s.ID}
	}
	return sessionName{user: s.User}
}

// remembered is what a roster that has read everything remembers of the events
// before a place, as events: of each session, of each user logged out of all
// and of each machine the last that was said, unless a reset came after it. A
// reset that lists nobody may have been of any type.
func (o *oracle) remembered(first uint64) []roster.Message {
	type about struct {
		machine string
		session sessionName
		cleared string
	}
	last := map[about]roster.Message{}
	for _, m := range inOrder(o.accepted) {
		e := m.Event
		one := m
		switch {
		case e.Type == roster.Login:
			last[about{e.Machine, nameOf(e.Session), ""}] = one
		case e.Type == roster.Logout && e.Session.ID != "":
			last[about{e.Machine, nameOf(e.Session), ""}] = one
		case e.Type == roster.Logout:
			last[about{e.Machine, sessionName{}, e.Session.User}] = one
		default:
			for a := range last {
				if a.machine == e.Machine {
					delete(last, a)
				}
			}
			one.Event.Sessions = nil
			last[about{machine: e.Machine}] = one
			for _, s := range e.Sessions {
				entry := one
				entry.Event.Sessions = []roster.Session{s}
				last[about{e.Machine, nameOf(s), ""}] = entry
			}
		}
	}
	resets := map[uint64]*roster.Message{}
	var kept []roster.Message
	for _, m := range last {
		switch known := resets[m.Place]; {
		case m.Place >= first:
		case m.Event.Type < roster.Boot:
			kept = append(kept, m)
		case known == nil:
			resets[m.Place] = &m
		default:
			known.Event.Sessions = append(known.Event.Sessions, m.Event.Sessions...)
		}
	}
	for _, m := range resets {
		if m.Event.Type = roster.Present; len(m.Event.Sessions) == 0 {
			m.Event.Type = 0
		}
		kept = append(kept, *m)
	}
	return kept
}

// events are those that count when the stream begins at a place.
func (o *oracle) events(first uint64) []roster.Message {
	var events []roster.Message
	for _, m := range o.accepted {
		if m.Place >= first {
			events = append(events, m)
		}
	}
	return inOrder(append(events, o.remembered(first)...))
}

// on is who was on at a moment: machine → session.
func (o *oracle) on(events []roster.Message, at roster.Time) map[string]map[sessionName]roster.Session {
	machines := map[string]map[sessionName]roster.Session{}
	for _, m := range events {
		e := m.Event
		if e.Date > at {
			continue
		}
		on := machines[e.Machine]
		if on == nil {
			on = map[sessionName]roster.Session{}
			machines[e.Machine] = on
		}
		switch e.Type {
		case roster.Login:
			e.Session.Since = e.Date
			on[nameOf(e.Session)] = e.Session
		case roster.Logout:
			for n, s := range on {
				if e.Session.ID != "" && n.id == e.Session.ID || e.Session.ID == "" && s.User == e.Session.User {
					delete(on, n)
				}
			}
		default:
			clear(on)
			for _, s := range e.Sessions {
				if s.Since == 0 {
					s.Since = e.Date
				}
				on[nameOf(s)] = s
			}
		}
	}
	return machines
}

// begun is a stay that has not ended yet.
type begun struct {
	Stay
	date roster.Time // of the first event
}

// stays are those that overlap a time. What the events leave open and is not
// open at the end of all is gone.
func (o *oracle) stays(events []roster.Message, from, to roster.Time) []Stay {
	var all []begun
	var open []*begun
	finish := func(date roster.Time, how Ending, which func(*begun) bool) {
		open = slices.DeleteFunc(open, func(b *begun) bool {
			if which(b) {
				b.Ended, b.How = date, how
				all = append(all, *b)
				return true
			}
			return false
		})
	}
	tell := func(e roster.Event, s roster.Session) {
		since := cmp.Or(s.Since, e.Date)
		for _, b := range open {
			if b.Machine != e.Machine || nameOf(b.Session) != nameOf(s) {
				continue
			}
			if b.Session.User == s.User {
				b.Session.Since = min(b.Session.Since, since)
				b.Session.Terminal = cmp.Or(b.Session.Terminal, s.Terminal)
				b.Session.Remote = cmp.Or(b.Session.Remote, s.Remote)
				b.Session.Service = cmp.Or(b.Session.Service, s.Service)
				return
			}
		}
		finish(e.Date, Replaced, func(b *begun) bool { return b.Machine == e.Machine && nameOf(b.Session) == nameOf(s) })
		s.Since = min(since, e.Date)
		open = append(open, &begun{Stay{Machine: e.Machine, Session: s}, e.Date})
	}
	for _, m := range events {
		e := m.Event
		switch e.Type {
		case roster.Login:
			tell(e, e.Session)
		case roster.Logout:
			finish(e.Date, LoggedOut, func(b *begun) bool {
				if e.Session.ID != "" {
					return b.Machine == e.Machine && b.Session.ID == e.Session.ID
				}
				return b.Machine == e.Machine && b.Session.User == e.Session.User
			})
		default:
			how := map[roster.Type]Ending{0: Reset, roster.Boot: Booted, roster.Shutdown: ShutDown, roster.Present: NotPresent}[e.Type]
			finish(e.Date, how, func(b *begun) bool {
				return b.Machine == e.Machine && !slices.ContainsFunc(e.Sessions, func(s roster.Session) bool {
					return nameOf(s) == nameOf(b.Session) && s.User == b.Session.User
				})
			})
			for _, s := range e.Sessions {
				tell(e, s)
			}
		}
	}
	now := o.on(inOrder(o.accepted), roster.MaxDate)
	var stays []Stay
	for _, b := range all {
		if b.date <= to && (b.Ended > from || b.date > from) {
			stays = append(stays, b.Stay)
		}
	}
	for _, b := range open {
		if b.How = Gone; now[b.Machine][nameOf(b.Session)].User == b.Session.User {
			b.How = Open
		}
		if b.date <= to {
			stays = append(stays, b.Stay)
		}
	}
	return stays
}
