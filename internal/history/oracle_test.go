package history

import (
	"slices"

	"rollcall/internal/roster"
)

// oracle says what the stays of a machine are, by the definition of a stay alone:
// it looks for the beginning and the end of each among all events, and keeps no
// state from one event to the next.
type oracle struct {
	events []Event // in the order of their stamps
	doubts []roster.Time
}

// tells returns the entry with which an event says that the user of a key is on.
func tells(e *Event, k Key, user string) *roster.Session {
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
func ends(e *Event, k Key, user string) (Ending, bool) {
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
	return Open, false
}

// stays returns them all, in no order.
func (o *oracle) stays() []Stay {
	var stays []Stay
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
			stays = append(stays, Stay{Session: s, Began: e.Stamp(), Ended: e.Stamp(), How: LoggedOut})
		}
	}
	return stays
}

// begun adds the stay that event i begins under the session's key, if it begins
// one.
func (o *oracle) begun(stays []Stay, i int, s roster.Session) []Stay {
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
		if KeyOf(&before.Session) == k && before.How != Open && !before.Ended.After(o.events[i].Stamp()) {
			floor = max(floor, before.Ended.Date)
		}
	}
	stay := Stay{Session: roster.Session{User: user, ID: k.ID, Since: roster.MaxDate}, Began: o.events[i].Stamp()}
	for j := i; j < len(o.events); j++ {
		e := &o.events[j]
		if how, over := ends(e, k, user); over {
			stay.Ended, stay.How = e.Stamp(), how
			break
		}
		told := tells(e, k, user)
		if told == nil {
			continue
		}
		since := e.Date
		if e.Type == roster.Present && told.Since != 0 {
			since = min(since, told.Since)
		}
		stay.Session.Since = min(stay.Session.Since, since)
		for _, detail := range [][2]*string{
			{&stay.Session.Terminal, &told.Terminal}, {&stay.Session.Remote, &told.Remote}, {&stay.Session.Service, &told.Service},
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
func (o *oracle) proves(known []Stay, i int) bool {
	e := &o.events[i]
	k, user := KeyOf(&e.Session), e.Session.User
	doubt := never
	for _, d := range o.doubts {
		if d <= e.Date {
			doubt = max(doubt, d)
		}
	}
	for _, s := range known {
		if s.Ended == e.Stamp() || KeyOf(&s.Session) == k && s.How != Open && e.Stamp().After(s.Ended) && s.Ended.Date >= doubt {
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
