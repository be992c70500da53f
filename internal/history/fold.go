package history

import (
	"cmp"

	"rollcall/internal/roster"
)

// Event is an accepted event of one machine.
type Event struct {
	Place uint64
	roster.Event
}

// Stamp returns what the event is ordered by.
func (e *Event) Stamp() roster.Stamp { return roster.Stamp{Date: e.Date, Place: e.Place} }

// compareEvents orders events by their stamps.
func compareEvents(a, b Event) int {
	return cmp.Or(cmp.Compare(a.Date, b.Date), cmp.Compare(a.Place, b.Place))
}

// fold makes the stays of one machine from its accepted events, in the order of
// their stamps.
type fold struct {
	open map[Key]*Stay
	// floors has, for a stay that is open, the date before which it cannot have
	// begun.
	floors map[Key]roster.Time
	// off, cleared and reset are the newest dates at which a key, all sessions of a
	// user, and all sessions were told to be off. off and cleared have only what is
	// newer than reset.
	off     map[Key]roster.Time
	cleared map[string]roster.Time
	reset   roster.Time
	// doubt is the date from which logins may be missing: the beginning of the
	// history, or of the last loss.
	doubt roster.Time
	// ended are the stays that ended, until they are taken.
	ended []Stay
}

// never is before every date.
const never roster.Time = -1 << 63

// newFold returns the fold of a machine that nothing is known of.
func newFold() *fold {
	return &fold{
		open: map[Key]*Stay{}, floors: map[Key]roster.Time{}, off: map[Key]roster.Time{},
		cleared: map[string]roster.Time{}, reset: never, doubt: never,
	}
}

// fold folds events, in the order of their stamps, that follow those folded so far,
// and returns the stays that they end. From each of the doubts, dates in order, on
// logins may be missing.
func (f *fold) fold(events []Event, doubts []roster.Time) (ended []Stay) {
	for i := range events {
		e := &events[i]
		for _, d := range doubts {
			if d <= e.Date {
				f.doubt = max(f.doubt, d)
			}
		}
		f.apply(e)
	}
	ended, f.ended = f.ended, nil
	return ended
}

// apply folds the next event.
func (f *fold) apply(e *Event) {
	switch e.Type {
	case roster.Login:
		f.tell(e, e.Session, e.Date)
	case roster.Logout:
		f.logout(e)
	case roster.Boot:
		f.endAll(e, Booted)
	case roster.Shutdown:
		f.endAll(e, ShutDown)
	case roster.Present:
		f.endAll(e, NotPresent)
	}
}

// tell begins a stay, or goes on with the user's own. The event told that it
// began at since.
func (f *fold) tell(e *Event, s roster.Session, since roster.Time) {
	k := KeyOf(&s)
	since = min(since, e.Date)
	stay := f.open[k]
	if stay != nil && stay.Session.User == s.User {
		stay.Session.Since = max(f.floors[k], min(stay.Session.Since, since))
		stay.Session.Terminal = cmp.Or(stay.Session.Terminal, s.Terminal)
		stay.Session.Remote = cmp.Or(stay.Session.Remote, s.Remote)
		stay.Session.Service = cmp.Or(stay.Session.Service, s.Service)
		return
	}
	if stay != nil {
		f.end(k, e, Replaced)
	}
	f.floors[k] = f.toldOff(k, s.User)
	s.Since = max(f.floors[k], since)
	f.open[k] = &Stay{Session: s, Began: e.Stamp()}
}

// toldOff returns the newest date at which a session of the user under this key was
// told to be off, or never.
func (f *fold) toldOff(k Key, user string) roster.Time {
	newest := f.reset
	if date, ok := f.off[k]; ok {
		newest = max(newest, date)
	}
	if date, ok := f.cleared[user]; ok {
		newest = max(newest, date)
	}
	return newest
}

func (f *fold) logout(e *Event) {
	k, user := KeyOf(&e.Session), e.Session.User
	seen := false
	for open, stay := range f.open {
		if open == k || k.ID == "" && stay.Session.User == user {
			f.end(open, e, LoggedOut)
			seen = true
		}
	}
	if before := f.toldOff(k, user); !seen && (before == never || before < f.doubt) {
		s := e.Session
		s.Since = Unknown
		f.ended = append(f.ended, Stay{Session: s, Began: e.Stamp(), Ended: e.Stamp(), How: LoggedOut})
	}
	f.off[k] = e.Date
	if k.ID == "" {
		f.cleared[user] = e.Date
	}
}

// endAll ends every stay that the event does not list, and begins, or goes on with,
// those that it does.
func (f *fold) endAll(e *Event, how Ending) {
	listed := make(map[Key]bool, len(e.Sessions))
	for i := range e.Sessions {
		listed[KeyOf(&e.Sessions[i])] = true
	}
	for k := range f.open {
		if !listed[k] {
			f.end(k, e, how)
		}
	}
	for i := range e.Sessions {
		f.tell(e, e.Sessions[i], cmp.Or(e.Sessions[i].Since, e.Date))
	}
	clear(f.off)
	clear(f.cleared)
	f.reset = e.Date
}

// end ends an open stay.
func (f *fold) end(k Key, e *Event, how Ending) {
	stay := f.open[k]
	stay.Ended, stay.How = e.Stamp(), how
	f.ended = append(f.ended, *stay)
	delete(f.open, k)
	delete(f.floors, k)
	f.off[k] = e.Date
}
