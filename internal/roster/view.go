package roster

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// View shows one machine while its lock is held.
type View struct {
	m        *machine
	people   *people
	hidden   Time // see Shown
	settling settling
}

// Name returns the machine's name.
func (v View) Name() string { return v.m.name }

// Heard returns the receipt of the last event accepted from the machine.
func (v View) Heard() Time { return v.m.heard }

// Newest returns the newest date of an event accepted from the machine.
func (v View) Newest() Time { return v.m.newest }

// Changed returns the newest date of a login or logout accepted from the machine; the
// zero time if there was none.
func (v View) Changed() time.Time {
	if v.m.changed == unchanged {
		return time.Time{}
	}
	return v.m.changed.Time()
}

// UserCount returns how many users are on.
func (v View) UserCount() int { return int(v.m.users) }

// Shown reports whether the machine belongs in reports and metrics: somebody
// is on, or it was heard within the allowed lateness before the newest receipt.
//
//guard:drop v.m.users "who is on is never hidden" TestHidden
//guard:set v.m.heard>=v.hidden true "a machine long silent is hidden" TestHidden
func (v View) Shown() bool { return v.m.users > 0 || v.m.heard >= v.hidden }

// Settled reports whether no loss concerns the machine; see Losses.
func (v View) Settled() bool { return v.settling.settles(v.m) }

// ConcernedBy reports whether losses of one kind concern the machine, if there are any: those
// of the stream concern all that have not settled since, those of a source those that it
// may speak for.
func (v View) ConcernedBy(why Loss) bool {
	if why == SourceGap || why == SourceRecreated {
		return v.settling.unsettledBy(why, v.m)
	}
	return !v.settling.settlesStream(v.m.reset)
}

// Limited reports whether an event of the machine was refused because of a limit
// since its last boot, shutdown or present.
func (v View) Limited() bool { return v.m.limited() }

// Incomplete reports whether a login or logout of the machine may be missing: it is not
// settled, or limited.
func (v View) Incomplete() bool { return v.Limited() || !v.Settled() }

// Every returns how often the machine says that it lists who is on; 0: it does not say, or
// has booted or shut down since.
func (v View) Every() time.Duration { return v.m.every }

// Place returns the place of the newest event that decides who is on.
func (v View) Place() uint64 {
	place := v.m.reset.Place
	for i := range v.m.sessions.Rows {
		if s := &v.m.sessions.Rows[i]; v.m.isOpen(s) {
			place = max(place, s.stamp.Place)
		}
	}
	for _, c := range v.m.clearings() {
		place = max(place, c.stamp.Place)
	}
	return place
}

// AppendUsers appends the names of those who are on to dst, in byte order.
func (v View) AppendUsers(dst []string) []string {
	start := len(dst)
	for i := range v.m.sessions.Rows {
		if s := &v.m.sessions.Rows[i]; v.m.isOpen(s) {
			dst = append(dst, v.people.name(s.user))
		}
	}
	slices.Sort(dst[start:])
	users := slices.Compact(dst[start:])
	return dst[:start+len(users)]
}

// AppendSessions appends the open sessions to dst, by user, then ID.
func (v View) AppendSessions(dst []Session) []Session {
	start := len(dst)
	for i := range v.m.sessions.Rows {
		if s := &v.m.sessions.Rows[i]; v.m.isOpen(s) {
			dst = append(dst, v.session(s))
		}
	}
	slices.SortFunc(dst[start:], func(a, b Session) int {
		return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
	})
	return dst
}

func (v View) session(s *session) Session {
	var shown Session
	s.packed.fill(&shown)
	shown.User = v.people.name(s.user)
	if shown.Since == 0 {
		shown.Since = s.stamp.Date
	}
	return shown
}
