package wire

import "rollcall/internal/roster"

// field is one field of an event, or of an entry of its sessions.
type field uint8

const (
	noField field = iota // unknown
	fieldDate
	fieldType
	fieldMachine
	fieldSessions
	fieldUser
	fieldSession
	fieldTerminal
	fieldRemote
	fieldService
	fieldSince
	fieldOrigin
	fieldNumber
	fieldEvery
	fieldSeconds // of a timestamp or duration in protobuf
	fieldNanos
	fieldCount
)

var fieldNames = [fieldCount]string{
	fieldDate: "date", fieldType: "type", fieldMachine: "machine", fieldSessions: "sessions",
	fieldUser: "user", fieldSession: "session", fieldTerminal: "terminal", fieldRemote: "remote",
	fieldService: "service", fieldSince: "since", fieldOrigin: "origin", fieldNumber: "number", fieldEvery: "every", fieldSeconds: "seconds", fieldNanos: "nanos",
}

func (f field) String() string { return fieldNames[f] }

// fields is a set of fields.
type fields uint32

func setOf(some ...field) (set fields) {
	for _, f := range some {
		set |= 1 << f
	}
	return set
}

func (set fields) has(f field) bool { return set&(1<<f) != 0 }

var (
	always    = setOf(fieldDate, fieldType, fieldMachine, fieldOrigin, fieldNumber)
	details   = setOf(fieldUser, fieldSession, fieldTerminal, fieldRemote, fieldService)
	ofPresent = setOf(fieldSessions, fieldEvery)
	ofEvent   = always | details | ofPresent
	ofEntry   = details | setOf(fieldSince)
)

// belonging returns the fields that belong to a type of event; 0 is a type
// that is missing or unknown.
func belonging(t roster.Type) fields {
	switch t {
	case roster.Login, roster.Logout:
		return always | details
	case roster.Present:
		return always | ofPresent
	}
	return always
}

// textOf returns a pointer to the text of one of the fields in details.
func textOf(s *roster.Session, f field) *string {
	switch f {
	case fieldUser:
		return &s.User
	case fieldSession:
		return &s.ID
	case fieldTerminal:
		return &s.Terminal
	case fieldRemote:
		return &s.Remote
	}
	return &s.Service
}
