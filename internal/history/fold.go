package history

import (
	"cmp"
	"slices"

	"rollcall/internal/roster"
)

// fold makes the stays of one machine from its accepted events, in the order of
// their stamps.
type fold struct {
	open map[Key]*openStay
	// off and cleared are the newest dates at which a key, and all sessions of a
	// user, were told to be off by the events folded; reset, at which all were by
	// any event.
	off     map[Key]roster.Time
	cleared map[string]roster.Time
	reset   roster.Time
	// earlier returns the newest date, above after, at which an event before those
	// folded told that a key, or all sessions of its user, was off; never if there
	// is none.
	earlier func(k Key, user string, after roster.Time) (roster.Time, error)
	// doubts are the dates, in order, from which on logins may be missing.
	doubts []roster.Time

	ended  []Stay
	strays []stray
}

// openStay is a stay that has not ended.
type openStay struct {
	roster.Session
	// began is the date of its first event. reset is the fold's then: it cannot have
	// begun before.
	began, reset roster.Time
}

// stray is a logout that no stay tells of, but that bounds later ones: it ended
// nothing, or only sessions with an ID although it told all of a user's off.
type stray struct {
	date roster.Time
	key  Key
	user string
}

// never is before every date, and endOfTime after.
const (
	never     roster.Time = -1 << 63
	endOfTime roster.Time = 1<<63 - 1
)

// newFold returns the fold of a machine that nothing is known of.
func newFold() *fold {
	return &fold{open: map[Key]*openStay{}, reset: never}
}

// begin prepares the fold for events that follow those folded so far.
func (f *fold) begin(doubts []roster.Time, earlier func(Key, string, roster.Time) (roster.Time, error)) {
	f.off, f.cleared = map[Key]roster.Time{}, map[string]roster.Time{}
	f.ended, f.strays = nil, nil
	f.doubts, f.earlier = doubts, earlier
}

// apply folds events, in the order of their stamps.
func (f *fold) apply(events []roster.Event) error {
	for i := range events {
		if err := f.one(&events[i]); err != nil {
			return err
		}
	}
	return nil
}

func (f *fold) one(e *roster.Event) error {
	switch e.Type {
	case roster.Login:
		return f.tell(e, e.Session, e.Date)
	case roster.Logout:
		return f.logout(e)
	case roster.Boot:
		return f.endAll(e, Booted)
	case roster.Shutdown:
		return f.endAll(e, ShutDown)
	case roster.Present:
		return f.endAll(e, NotPresent)
	}
	return nil
}

// tell begins a stay, or goes on with the user's own. The event told that it
// began at since.
func (f *fold) tell(e *roster.Event, s roster.Session, since roster.Time) error {
	k := KeyOf(&s)
	since = min(since, e.Date)
	stay := f.open[k]
	if stay != nil && stay.User == s.User {
		if since < stay.Since {
			floor, err := f.toldOff(k, s.User, max(since, stay.reset))
			if err != nil {
				return err
			}
			stay.Since = min(stay.Since, max(since, stay.reset, floor))
		}
		stay.Terminal = cmp.Or(stay.Terminal, s.Terminal)
		stay.Remote = cmp.Or(stay.Remote, s.Remote)
		stay.Service = cmp.Or(stay.Service, s.Service)
		return nil
	}
	if stay != nil {
		f.end(k, e, Replaced)
	}
	s.Since = max(since, f.reset)
	if s.Since < e.Date {
		floor, err := f.toldOff(k, s.User, s.Since)
		if err != nil {
			return err
		}
		s.Since = max(s.Since, floor)
	}
	f.open[k] = &openStay{Session: s, began: e.Date, reset: f.reset}
	return nil
}

// toldOff returns the newest date above after at which the key, or all sessions of
// the user, was told to be off by a logout or the end of a stay; or never.
func (f *fold) toldOff(k Key, user string, after roster.Time) (roster.Time, error) {
	newest := never
	if date, ok := f.off[k]; ok {
		newest = date
	}
	if date, ok := f.cleared[user]; ok {
		newest = max(newest, date)
	}
	if newest > after || f.earlier == nil {
		return newest, nil
	}
	date, err := f.earlier(k, user, after)
	return max(newest, date), err
}

func (f *fold) logout(e *roster.Event) error {
	k, user := KeyOf(&e.Session), e.Session.User
	var ended []Key
	for open, stay := range f.open {
		if open == k || k.ID == "" && stay.User == user {
			ended = append(ended, open)
		}
	}
	if len(ended) == 0 {
		if err := f.unmatched(e, k, user); err != nil {
			return err
		}
	}
	for _, open := range ended {
		f.end(open, e, LoggedOut)
	}
	if !slices.Contains(ended, k) {
		f.strays = append(f.strays, stray{e.Date, k, user})
	}
	f.off[k] = e.Date
	if k.ID == "" {
		f.cleared[user] = e.Date
	}
	return nil
}

// unmatched folds a logout of what is not open: that proves that somebody was on, if
// logins may be missing and nothing has told since that it was off.
func (f *fold) unmatched(e *roster.Event, k Key, user string) error {
	doubt := never
	for _, d := range f.doubts {
		if d <= e.Date {
			doubt = d
		}
	}
	if f.reset != never && f.reset >= doubt {
		return nil
	}
	// What was told at the date of the doubt itself counts.
	after := doubt
	if after != never {
		after--
	}
	switch told, err := f.toldOff(k, user, after); {
	case err != nil:
		return err
	case told == never || told < doubt:
		s := e.Session
		s.Since = Unknown
		f.ended = append(f.ended, Stay{Session: s, Ended: e.Date, How: LoggedOut})
	}
	return nil
}

// endAll ends every stay that the event does not list, and begins, or goes on with,
// those that it does.
func (f *fold) endAll(e *roster.Event, how Ending) error {
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
		if err := f.tell(e, e.Sessions[i], cmp.Or(e.Sessions[i].Since, e.Date)); err != nil {
			return err
		}
	}
	f.reset = e.Date
	return nil
}

// end ends an open stay.
func (f *fold) end(k Key, e *roster.Event, how Ending) {
	f.ended = append(f.ended, Stay{Session: f.open[k].Session, Ended: e.Date, How: how})
	delete(f.open, k)
	f.off[k] = e.Date
}

// stays returns the stays that ended, and those that are open.
func (f *fold) stays() []Stay {
	all := slices.Clone(f.ended)
	for _, s := range f.open {
		all = append(all, Stay{Session: s.Session})
	}
	return all
}

// clone returns a copy of a fold between two batches, which shares nothing that
// either changes.
func (f *fold) clone() *fold {
	c := &fold{open: make(map[Key]*openStay, len(f.open)), reset: f.reset}
	for k, s := range f.open {
		stay := *s
		c.open[k] = &stay
	}
	return c
}
