package history

import (
	"cmp"
	"slices"

	"rollcall/internal/roster"
)

// oracle says what the stays of a machine are, by the definition of a stay alone:
// it looks for the beginning and the end of each among all events, and keeps no
// state from one event to the next.
type oracle struct {
	events []roster.Event // in the order of their stamps
	doubts []roster.Time
}

// tells returns the entry with which an event says that the user of a key is on.
func tells(e *roster.Event, k Key, user string) *roster.Session {
	switch e.Type {
	case roster.Login:
		if KeyOf(&e.Session) == k && e.Session.User == user {
			return &e.Session
		}
	case roster.Present:
		for i := range e.Sessions {
			if s := &e.Sessions[i]; KeyOf(s) == k && s.User == user {
				return s
			}
		}
	}
	return nil
}

// ends reports whether an event says that the user of a key is not on, and how a
// stay would end by that.
func ends(e *roster.Event, k Key, user string) (Ending, bool) {
	switch e.Type {
	case roster.Login:
		return Replaced, KeyOf(&e.Session) == k && e.Session.User != user
	case roster.Logout:
		return LoggedOut, e.Session.ID != "" && e.Session.ID == k.ID || e.Session.ID == "" && e.Session.User == user
	case roster.Boot:
		return Booted, true
	case roster.Shutdown:
		return ShutDown, true
	case roster.Present:
		for i := range e.Sessions {
			if KeyOf(&e.Sessions[i]) == k {
				return Replaced, e.Sessions[i].User != user
			}
		}
		return NotPresent, true
	}
	return NotEnded, false
}

// told is a stay, with the numbers of the events that began and ended it.
type told struct {
	Stay
	began, ended int
}

// stays returns them all, in no order.
func (o *oracle) stays() []Stay {
	var all []Stay
	for _, s := range o.told() {
		all = append(all, s.Stay)
	}
	return all
}

func (o *oracle) told() []told {
	var stays []told
	for i := range o.events {
		e := &o.events[i]
		switch e.Type {
		case roster.Login:
			stays = o.begun(stays, i, e.Session)
		case roster.Present:
			for _, s := range e.Sessions {
				stays = o.begun(stays, i, s)
			}
		}
	}
	known := slices.Clone(stays)
	for i := range o.events {
		if e := &o.events[i]; e.Type == roster.Logout && o.proves(known, i) {
			s := e.Session
			s.Since = Unknown
			stays = append(stays, told{Stay: Stay{Session: s, Ended: e.Date, How: LoggedOut}, began: i, ended: i})
		}
	}
	return stays
}

// begun adds the stay that event i begins under the session's key, if it begins
// one.
func (o *oracle) begun(stays []told, i int, s roster.Session) []told {
	k, user := KeyOf(&s), s.User
	floor := roster.Time(0)
	for j := i - 1; j >= 0; j-- {
		if _, over := ends(&o.events[j], k, user); over {
			floor = o.events[j].Date
			break
		}
		if tells(&o.events[j], k, user) != nil {
			return stays // it goes on
		}
	}
	for _, before := range stays {
		if KeyOf(&before.Session) == k && before.How != NotEnded && before.ended <= i {
			floor = max(floor, before.Ended)
		}
	}
	stay := told{Stay: Stay{Session: roster.Session{User: user, ID: k.ID, Since: roster.MaxDate}}, began: i}
	for j := i; j < len(o.events); j++ {
		e := &o.events[j]
		if how, over := ends(e, k, user); over {
			stay.Ended, stay.How, stay.ended = e.Date, how, j
			break
		}
		entry := tells(e, k, user)
		if entry == nil {
			continue
		}
		since := e.Date
		if e.Type == roster.Present && entry.Since != 0 {
			since = min(since, entry.Since)
		}
		stay.Session.Since = min(stay.Session.Since, since)
		for _, detail := range [][2]*string{
			{&stay.Session.Terminal, &entry.Terminal}, {&stay.Session.Remote, &entry.Remote}, {&stay.Session.Service, &entry.Service},
		} {
			if *detail[0] == "" {
				*detail[0] = *detail[1]
			}
		}
	}
	stay.Session.Since = max(stay.Session.Since, floor)
	return append(stays, stay)
}

// proves reports whether logout i proves that somebody was on whom nobody saw
// begin: it ends no stay, and since a login may be missing nothing said that its
// key was off.
func (o *oracle) proves(known []told, i int) bool {
	e := &o.events[i]
	k, user := KeyOf(&e.Session), e.Session.User
	doubt := never
	for _, d := range o.doubts {
		if d <= e.Date {
			doubt = max(doubt, d)
		}
	}
	for _, s := range known {
		if s.How == NotEnded {
			continue
		}
		if s.ended == i || KeyOf(&s.Session) == k && s.ended < i && s.Ended >= doubt {
			return false
		}
	}
	for j := range i {
		b := &o.events[j]
		if b.Date < doubt {
			continue
		}
		off := b.Type != roster.Login && b.Type != roster.Logout ||
			b.Type == roster.Logout && (KeyOf(&b.Session) == k || b.Session.ID == "" && user != "" && b.Session.User == user)
		if off {
			return false
		}
	}
	return true
}

// marks returns the boots and shutdowns, each once, the newest first.
func (o *oracle) marks() []Mark {
	var all []Mark
	for i := range o.events {
		e := &o.events[i]
		m := Mark{e.Machine, e.Date, e.Type}
		if (e.Type == roster.Boot || e.Type == roster.Shutdown) && !slices.Contains(all, m) {
			all = append(all, m)
		}
	}
	slices.SortFunc(all, func(a, b Mark) int {
		return cmp.Or(cmp.Compare(b.Date, a.Date), cmp.Compare(b.Machine, a.Machine), cmp.Compare(b.Type, a.Type))
	})
	return all
}
