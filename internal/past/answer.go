package past

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"rollcall/internal/roster"
)

// Answer is the answer to a question, or how far it is.
type Answer struct {
	// Done says that the answer is there. Until then On and Stays are empty.
	Done bool
	// Place is the roster's when the question was asked: what was read up to
	// there is in the answer. It is 0 until the answer is done.
	Place uint64
	// First, Read and Last are sequences of the stream: the first that it had
	// and the last that has to be read, and how far that has come.
	First, Read, Last uint64
	// Incomplete says that the stream began after the moment asked for, and
	// that the roster does not know either. From is the moment from which
	// that is not so: the receipt of the first message that the stream had.
	Incomplete bool
	From       roster.Time
	// Unplaced counts the events that came too late for the memory that the
	// question had. They are not in the answer.
	Unplaced uint64

	// On is who was on, from the cursor's row on: by machine, user and
	// session. A machine with nobody has one row without a user, unless the
	// question was about a user.
	On []On
	// Stays are those asked for, from the cursor's row on: by their beginning,
	// then machine, user and session.
	Stays []Stay

	inquiry *inquiry
	offset  int
}

// On is one session that was open at the moment asked for, or a machine with
// nobody.
type On struct {
	Machine string
	// Heard is the newest receipt of an event dated at or before the moment; 0
	// when the stream no longer has one.
	Heard roster.Time
	// Session is what the last event told of it, as in the roster.
	Session roster.Session
}

// Stay is one stay of one user on one machine. Events that tell of it again (a
// present, or another login of the user) do not begin another one.
type Stay struct {
	Machine string
	// Session has what the first event told, filled up by later ones. Since is
	// when the stay began: the date of the event that began it or, where a
	// present gave an earlier one, that.
	Session roster.Session
	// Ended is the date of the event that ended it; 0 for Open and Gone.
	Ended roster.Time
	How   Ending
}

// Ending says how a stay ended.
type Ending uint8

// The endings. How many are known depends on what the stream still has.
const (
	Open       Ending = iota // it has not
	LoggedOut                // a logout
	Booted                   // a boot of the machine
	ShutDown                 // a shutdown of the machine
	NotPresent               // a present that does not list it
	Replaced                 // another user's login under the same session
	Reset                    // a boot, shutdown or present that the stream no longer has
	Gone                     // the roster does not have it, and no event says since when
)

var endingNames = [...]string{
	Open: "open", LoggedOut: "logout", Booted: "boot", ShutDown: "shutdown",
	NotPresent: "present", Replaced: "replaced", Reset: "reset", Gone: "gone",
}

// Endings returns all endings.
func Endings() []Ending {
	return []Ending{Open, LoggedOut, Booted, ShutDown, NotPresent, Replaced, Reset, Gone}
}

// String returns the ending's name: "logout".
func (e Ending) String() string { return endingNames[e] }

// Question is what was asked.
func (a *Answer) Question() Question { return a.inquiry.question }

// Rows is how many rows On or Stays has.
func (a *Answer) Rows() int { return len(a.On) + len(a.Stays) }

// Take says that the first n rows were handed out, and returns the cursor with
// which the others, or the answer that is not done, are to be asked for. It is
// empty when there is nothing left: then the question is over.
func (a *Answer) Take(n int) string {
	if a.Done && n >= a.Rows() {
		a.inquiry.end(errAnswered)
		return ""
	}
	return a.inquiry.id + cursorSeparator + strconv.Itoa(a.offset+n)
}

const cursorSeparator = "."

var errCursor = &FieldError{"cursor", "not one that rollcall gave: leave it out to ask anew"}

// parseCursor is the inverse of Take.
func parseCursor(cursor string) (id string, offset int, err error) {
	id, row, _ := strings.Cut(cursor, cursorSeparator)
	offset, err = strconv.Atoi(row)
	if err != nil || offset < 0 || strconv.Itoa(offset) != row {
		return "", 0, errCursor
	}
	return id, offset, nil
}

// from leaves out the rows before one.
func (a *Answer) from(offset int) error {
	if offset > a.Rows() {
		return errCursor
	}
	a.offset = offset
	a.On = a.On[min(offset, len(a.On)):]
	a.Stays = a.Stays[min(offset, len(a.Stays)):]
	return nil
}

// on lists who is on at the end of the fold. It can be called once.
func (f *fold) on() []On {
	var rows []On
	var newest roster.Time
	for _, m := range f.machines {
		newest = max(newest, m.heard)
	}
	hidden := newest.Add(-f.settings.AllowedLateness)
	for m := range f.finished() {
		sessions := m.sessions()
		for _, s := range sessions {
			if f.User == "" || s.User == f.User {
				rows = append(rows, On{m.name, m.heard, s})
			}
		}
		if len(sessions) == 0 && f.User == "" && (f.Machine != "" || m.shown(hidden)) {
			rows = append(rows, On{Machine: m.name, Heard: m.heard})
		}
	}
	slices.SortFunc(rows, func(a, b On) int {
		return cmp.Or(strings.Compare(a.Machine, b.Machine), compareSessions(a.Session, b.Session))
	})
	return rows
}

// allStays lists the stays at the end of the fold. It can be called once.
func (f *fold) allStays() []Stay {
	var rows []Stay
	for m := range f.finished() {
		rows = append(rows, m.stays...)
		for k, s := range m.open {
			switch {
			case s.began > f.To:
			case m.lasting[k] == s.raised:
				rows = append(rows, s.end(m.name, 0, Open))
			default:
				rows = append(rows, s.end(m.name, 0, Gone))
			}
		}
	}
	rows = slices.DeleteFunc(rows, func(s Stay) bool { return f.User != "" && s.Session.User != f.User })
	slices.SortFunc(rows, compareStays)
	return rows
}

func compareStays(a, b Stay) int {
	return cmp.Or(cmp.Compare(a.Session.Since, b.Session.Since), strings.Compare(a.Machine, b.Machine),
		compareSessions(a.Session, b.Session), cmp.Compare(a.Ended, b.Ended))
}

func compareSessions(a, b roster.Session) int {
	return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
}
