package history

import (
	"cmp"

	"rollcall/internal/roster"
)

// Stay is one session of one user on one machine, from beginning to end.
type Stay struct {
	// Session is who was on, under which key, from where and since when. Since is
	// Unknown if nobody saw it begin; then the user may be empty.
	Session roster.Session
	// Began is the stamp of its first event, which may be later than Since. Of a
	// stay that nobody saw begin it is the stamp of its ending.
	Began roster.Stamp
	// Ended is the stamp of the event that ended it, the zero Stamp while it is
	// open.
	Ended roster.Stamp
	How   Ending
}

// Unknown is the Since of a stay that nobody saw begin.
const Unknown roster.Time = -1

// Ending is how a stay ended.
type Ending uint8

// The endings.
const (
	Open       Ending = iota
	LoggedOut         // a logout
	Replaced          // another user's login, or entry of a present, under its key
	Booted            // a boot of the machine
	ShutDown          // a shutdown of the machine
	NotPresent        // a present that does not list it
)

var endingNames = [...]string{
	Open: "open", LoggedOut: "logout", Replaced: "replaced", Booted: "boot", ShutDown: "shutdown", NotPresent: "present",
}

// String returns the ending's name in the contract: "logout".
func (e Ending) String() string { return endingNames[e] }

// On reports whether the stay includes a moment.
func (s *Stay) On(at roster.Time) bool {
	return s.Session.Since != Unknown && s.Session.Since <= at && (s.How == Open || at < s.Ended.Date)
}

// Key names a session on its machine: by its id, or the implicit one by its user.
type Key struct{ ID, User string }

// KeyOf returns the session's key.
func KeyOf(s *roster.Session) Key {
	if s.ID != "" {
		return Key{ID: s.ID}
	}
	return Key{User: s.User}
}

// compare orders stays by their beginnings.
func (s *Stay) compare(o *Stay) int {
	return cmp.Or(cmp.Compare(s.Session.Since, o.Session.Since), cmp.Compare(s.Began.Date, o.Began.Date), cmp.Compare(s.Began.Place, o.Began.Place))
}
