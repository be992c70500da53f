package wire

import (
	"cmp"
	"fmt"
	"strconv"

	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/roster"
)

// draft is what was decoded from a payload, except for the texts, which go directly
// into the event. It is judged after the whole payload has been decoded: the type
// decides which fields belong to the event, and it may come last.
type draft struct {
	date     date
	typ      roster.Type // 0: missing or unknown
	typeText string      // the type in the payload, for the refusal
	// wrong has the fields whose JSON value is of the wrong kind, mistyped has
	// that kind.
	wrong    fields
	mistyped [fieldCount]jsontext.Kind
	// every is the first problem with every: it is no duration.
	every string
	// entryMalformed and entryDate are the first problem with the reason
	// malformed, and with bad_date, among the entries of sessions.
	entryMalformed, entryDate string
}

// date is a date as decoded.
type date struct {
	present bool
	at      roster.Time
	problem string // of a bad date, with its text
}

// check removes what does not belong to the type, and returns the first reason to
// refuse the rest, if there is one.
func (d *draft) check(e *roster.Event) *roster.Refusal {
	e.Type, e.Date = d.typ, d.date.at
	set := belonging(e.Type)
	//guard:false "a field that does not belong to the type is ignored" ^TestAccepted
	if !set.has(fieldUser) {
		e.Session = roster.Session{}
	}
	if !set.has(fieldSessions) {
		e.Sessions = emptied(e.Sessions)
	}
	//guard:false "no machine makes itself silent, or never silent" ^TestAccepted
	if !set.has(fieldEvery) || e.Every < roster.MinEvery || e.Every > roster.MaxEvery {
		e.Every = 0
	}
	return cmp.Or(d.checkShape(set, e), d.checkRequired(e), d.checkType(), d.checkDates(set), checkNames(e))
}

// checkShape checks for what is malformed although the syntax is right.
func (d *draft) checkShape(set fields, e *roster.Event) *roster.Refusal {
	for f := noField; d.wrong&set != 0 && f < fieldCount; f++ {
		//guard:false "a number is not a name" TestRefused
		if (d.wrong & set).has(f) {
			return malformed("send "+f.String()+" as "+wanted(f), "%s: %s, want %s", f, kindName(d.mistyped[f]), wanted(f))
		}
	}
	if !set.has(fieldSessions) {
		return nil
	}
	if d.every != "" {
		return malformed("write it as a number with a unit, such as 15m, or leave it out", "every: %s", d.every)
	}
	if d.entryMalformed != "" {
		return malformed("list each session as an object with user, session, since, terminal, remote, service", "%s", d.entryMalformed)
	}
	//guard:false "a present lists each session once" TestRefused
	if i, j, twice := findDuplicate(e.Sessions); twice {
		return malformed("list each session once; give each session of a user its id",
			"sessions[%d] and sessions[%d]: both %s", i, j, sessionName(&e.Sessions[i]))
	}
	return nil
}

// wrongKind records that a field has a value of the wrong kind.
func (d *draft) wrongKind(f field, kind jsontext.Kind) {
	d.wrong |= setOf(f)
	d.mistyped[f] = kind
}

func wanted(f field) string {
	switch f {
	case fieldSessions:
		return "a list"
	case fieldNumber:
		return "a whole number from 1 to 18446744073709551615"
	}
	return "a string"
}

func kindName(kind jsontext.Kind) string {
	switch kind {
	case '{':
		return "an object"
	case '[':
		return "a list"
	case '"':
		return "a string"
	case '0':
		return "a number"
	case 'n':
		return "null"
	}
	return "true or false"
}

func sessionName(s *roster.Session) string {
	if s.ID != "" {
		return "session " + quote(s.ID)
	}
	return "user " + quote(s.User) + " without a session"
}

// checkRequired checks for a missing field.
func (d *draft) checkRequired(e *roster.Event) *roster.Refusal {
	switch {
	//guard:false "an event without a date is refused" TestRefused
	case !d.date.present:
		return missingField("add when it happened: "+dateForm, "date")
	case d.typeText == "":
		return missingField("add what happened: "+typeNames, "type")
	//guard:false "no machine has an empty name" TestRefused
	case e.Machine == "":
		return missingField("name the machine", "machine")
	//guard:false "no user has an empty name" TestRefused
	case e.Type == roster.Login && e.Session.User == "":
		return missingField("name who logged in", "user")
	//guard:false "a logout names its user or session" TestRefused
	case e.Type == roster.Logout && e.Session.User == "" && e.Session.ID == "":
		return missingField("name who logged out, or the session that ended", "user")
	case e.Origin == "" && e.Number != 0:
		return missingField("name what the number counts, or leave it out", "origin")
	//guard:false "a number and its origin come together" TestRefused
	case e.Origin != "" && e.Number == 0:
		return missingField("count the events of the origin from 1, or leave it out", "number")
	}
	for i := range e.Sessions {
		if e.Sessions[i].User == "" {
			return missingField("name who is on in each entry", inEntry(i, fieldUser))
		}
	}
	return nil
}

func missingField(remedy, what string) *roster.Refusal {
	return refuse(roster.MissingField, remedy, "%s: missing", what)
}

// inEntry names a field of an entry of sessions: sessions[3].since.
func inEntry(i int, f field) string {
	return "sessions[" + strconv.Itoa(i) + "]." + f.String()
}

const typeNames = "login, logout, boot, shutdown or present"

func (d *draft) checkType() *roster.Refusal {
	//guard:true "an unknown type is not folded" TestRefused
	if d.typ != 0 {
		return nil
	}
	return refuse(roster.UnknownType, "use "+typeNames+", in lower case", "type: %s is unknown", quote(d.typeText))
}

func (d *draft) checkDates(set fields) *roster.Refusal {
	switch {
	//guard:false "no date is guessed" TestRefused
	case d.date.problem != "":
		return refuse(roster.BadDate, "write it as "+dateForm, "date: %s", d.date.problem)
	case set.has(fieldSessions) && d.entryDate != "":
		return refuse(roster.BadDate, "write it as "+dateForm, "%s", d.entryDate)
	}
	return nil
}

// checkNames checks for a bad name among the texts of an event.
func checkNames(e *roster.Event) *roster.Refusal {
	if what := NameProblem(e.Machine); what != "" {
		return badName(fieldMachine.String(), what)
	}
	if f, what := textProblem(&e.Session); what != "" {
		return badName(f.String(), what)
	}
	if what := originProblem(e.Origin); what != "" {
		return refuse(roster.BadName, fmt.Sprintf("send at most %d bytes of visible text", maxOrigin), "%s: %s", fieldOrigin, what)
	}
	for i := range e.Sessions {
		//guard:false "the users of a present are checked like that of a login" TestRefused
		if f, what := textProblem(&e.Sessions[i]); what != "" {
			return badName(inEntry(i, f), what)
		}
	}
	return nil
}

func badName(where, what string) *roster.Refusal {
	return refuse(roster.BadName, "send at most 255 bytes of visible text", "%s: %s", where, what)
}

// maxOrigin is how many bytes an origin may have.
const maxOrigin = 64

func originProblem(origin string) string {
	if len(origin) > maxOrigin {
		return fmt.Sprintf("%d bytes, at most %d", len(origin), maxOrigin)
	}
	return NameProblem(origin)
}

// textProblem returns the first text of a session that is not a valid name, and what
// is wrong with it.
func textProblem(s *roster.Session) (field, string) {
	for f := fieldUser; f <= fieldService; f++ {
		if what := NameProblem(*textOf(s, f)); what != "" {
			return f, what
		}
	}
	return noField, ""
}
