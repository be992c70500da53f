package past

import (
	"fmt"

	"rollcall/internal/roster"
)

// Question is what is asked about the past.
type Question struct {
	// Machine and User narrow it down; empty is any. Names are compared byte
	// by byte.
	Machine, User string
	// Stays asks for the stays that overlap From to To. Otherwise the question
	// is who was on at To, and From is not used.
	Stays bool
	// From and To are both inclusive. Who wants all that was read, also what
	// is dated ahead, asks up to roster.MaxDate.
	From, To roster.Time
}

// check finds the field that is wrong.
func (q *Question) check() error {
	moment := "at"
	if q.Stays {
		moment = "to"
	}
	switch {
	case q.To < roster.MinDate || q.To > roster.MaxDate:
		return outOfRange(moment)
	case q.Stays && (q.From < roster.MinDate || q.From > roster.MaxDate):
		return outOfRange("from")
	case q.Stays && q.From > q.To:
		return &FieldError{"from", fmt.Sprintf("%v is after to, %v", q.From, q.To)}
	}
	return nil
}

func outOfRange(field string) error {
	return &FieldError{field, fmt.Sprintf("want a time from %v to %v", roster.MinDate, roster.MaxDate)}
}

// wants reports whether an event or register matters: one dated after the
// moment asked for tells nothing of it, but how a stay ended.
func (q *Question) wants(date roster.Time) bool { return q.Stays || date <= q.To }

// overlaps reports whether a stay that began and ended at these dates is asked
// for. Who has ended a stay at a moment is off at that moment.
func (q *Question) overlaps(began, ended roster.Time) bool {
	return began <= q.To && (began > q.From || ended > q.From)
}

// narrow returns of a record what concerns the user asked for, and whether
// anything does. Somebody else's login still ends a session of that name.
func (q *Question) narrow(r record) (record, bool) {
	if q.User == "" {
		return r, true
	}
	switch r.kind {
	case roster.Login:
		if s := r.sessions[0]; s.User != q.User {
			r.kind, r.sessions = roster.Logout, []roster.Session{{ID: s.ID}}
			return r, s.ID != ""
		}
	case roster.Logout:
		s := r.sessions[0]
		return r, s.ID != "" || s.User == q.User
	case roster.Present:
		var own []roster.Session
		for _, s := range r.sessions {
			if s.User == q.User {
				own = append(own, s)
			}
		}
		r.sessions = own
	}
	return r, true
}
