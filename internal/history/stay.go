// Package history says who was on when: it makes stays of the accepted events.
//
// # What a stay is
//
// A stay is one session of one user on one machine, from beginning to end. The stays
// of a machine are a function of its accepted events, sorted by stamp, and of nothing
// else: not of the order in which they arrived. A [Key] is a session's id or, for the
// implicit session, its user.
//
//   - A stay begins with a login, or an entry of a present, of a user under a key that
//     is not open for that user. Later logins and entries of the same user and key
//     belong to it.
//   - It ends with the first later event that ends it: a logout of the session; a
//     logout of the user without a session; a login or entry of another user under its
//     key; a boot or shutdown; a present that does not list it.
//   - Its Since is the earliest that any of its events tells, but not before the last
//     event before its first one that would have ended it, nor before the end of the
//     previous stay under its key.
//   - Its details are those of its first event, filled up by the later ones.
//   - An ending of what nobody saw begin means nothing while everything is known. At
//     the beginning of the history, and after a loss, the first ending of a key proves
//     that somebody was on: that is a stay whose Since is [Unknown].
//
// So stays of one key never overlap, and none ends before it begins.
//
// # Late events
//
// A late event counts where it belongs, whatever was known before it came. For that a
// machine's events of the allowed lateness are kept (its [window]), and what ended
// within it is made again.
package history

import "rollcall/internal/roster"

// Stay is one session of one user on one machine, from beginning to end.
type Stay struct {
	// Session is who was on, under which key, from where and since when. Since is
	// Unknown if nobody saw it begin; then the user may be empty.
	Session roster.Session
	// Ended is the date of the event that ended it; 0 while it is open.
	Ended roster.Time
	How   Ending
}

// Unknown is the Since of a stay that nobody saw begin.
const Unknown roster.Time = -1

// Ending is how a stay ended.
type Ending uint8

// The endings.
const (
	NotEnded   Ending = iota
	LoggedOut         // a logout
	Replaced          // another user's login, or entry of a present, under its key
	Booted            // a boot of the machine
	ShutDown          // a shutdown of the machine
	NotPresent        // a present that does not list it
)

var endingNames = [...]string{
	NotEnded: "open", LoggedOut: "logout", Replaced: "replaced", Booted: "boot", ShutDown: "shutdown", NotPresent: "present",
}

// String returns the ending's name in the contract: "logout".
func (e Ending) String() string { return endingNames[e] }

// On reports whether the stay includes a moment.
func (s *Stay) On(at roster.Time) bool {
	return s.Session.Since != Unknown && s.Session.Since <= at && (s.How == NotEnded || at < s.Ended)
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
