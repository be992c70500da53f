package roster

import (
	"math"
	"time"
)

// Time is a moment in nanoseconds since 1970-01-01T00:00:00Z.
type Time int64

// The range of dates that an event may have.
const (
	MinDate Time = 0
	MaxDate Time = 9_214_646_399_999_999_999 // 2261-12-31T23:59:59.999999999Z
)

// TimeOf returns t as a Time. t must lie between 1678 and 2262, as for
// [time.Time.UnixNano].
func TimeOf(t time.Time) Time { return Time(t.UnixNano()) }

// Time returns t in UTC.
func (t Time) Time() time.Time { return time.Unix(0, int64(t)).UTC() }

// String returns t as RFC 3339 in UTC, with as many decimals as it has.
func (t Time) String() string { return t.Time().Format(time.RFC3339Nano) }

// Add returns t + d; on overflow, the greatest or smallest Time.
func (t Time) Add(d time.Duration) Time {
	sum := t + Time(d)
	switch {
	case d > 0 && sum < t:
		return math.MaxInt64
	case d < 0 && sum > t:
		return math.MinInt64
	}
	return sum
}

// Stamp orders events: by date, and of equal dates by place.
type Stamp struct {
	Date  Time
	Place uint64
}

// After reports whether s is greater than o.
func (s Stamp) After(o Stamp) bool {
	return s.Date > o.Date || s.Date == o.Date && s.Place > o.Place
}

// Type is the type of an event.
type Type uint8

// The types of events.
const (
	Login    Type = iota + 1 // a user's session began
	Logout                   // a session, or all of a user's on a machine, ended
	Boot                     // the machine started: nobody from before is on
	Shutdown                 // the machine stopped: nobody is on
	Present                  // the machine listed who is on
)

var typeNames = [...]string{Login: "login", Logout: "logout", Boot: "boot", Shutdown: "shutdown", Present: "present"}

// Types returns all types of events.
func Types() []Type { return []Type{Login, Logout, Boot, Shutdown, Present} }

// String returns the type's name in the contract: "login".
func (t Type) String() string {
	if int(t) < len(typeNames) && t != 0 {
		return typeNames[t]
	}
	return "unknown"
}

// ParseType is the inverse of String.
func ParseType(name string) (Type, bool) {
	for _, t := range Types() {
		if typeNames[t] == name {
			return t, true
		}
	}
	return 0, false
}

// Event is a message that was decoded: its names are valid, its date is in range,
// and it has only the fields that belong to its type.
type Event struct {
	Date    Time
	Type    Type
	Machine string
	// Session is the session of a login or logout. Without an ID, a login opens the
	// user's implicit session, and a logout ends all of the user's sessions. Its
	// Since is not used.
	Session Session
	// Sessions lists the open sessions, one entry each; for Present only.
	Sessions []Session
	// Every is how often the machine says that it lists who is on, from MinEvery to
	// MaxEvery; for Present only. 0: it does not say.
	Every time.Duration
	// Number counts the events of an Origin from 1. They decide nothing: what is missing
	// among them never arrived. An event has both or none.
	Origin string
	Number uint64
}

// MinEvery and MaxEvery are the limits of how often a machine may say that it lists who is
// on.
const (
	MinEvery = time.Minute
	MaxEvery = 24 * time.Hour
)

// Session is one session of one user on one machine.
type Session struct {
	User string
	// ID identifies the session on its machine; empty for the implicit one.
	ID string
	// Since is when it began; in a Present event 0 stands for the event's date.
	Since                     Time
	Terminal, Remote, Service string
}

// Stay is an open session and the machine that it is on.
type Stay struct {
	Machine string
	Session Session
}

// Message is one message of the stream, decoded, for Fold.
type Message struct {
	Place   uint64
	Receipt Time
	// Refusal is why the decoder refused the message; if nil, Event is what it
	// decoded. Fold sets Refusal when it refuses the message itself.
	Refusal *Refusal
	Event   Event
	// Source is from where the stream took the message.
	Source Sourced
	// Marker says that the server itself stored the message, and that it is not an
	// event: its fate is superseded.
	Marker bool
	// Fate is set by Fold.
	Fate Fate
	// Missing and Recreated are set by Fold: how many messages of the message's source are
	// missing before it, and that the source was created anew.
	Missing   uint64
	Recreated bool
}

// Batch is a run of messages in the order of their places.
type Batch struct {
	Messages []Message
	// End is the position after the batch. Its place is at least that of the last
	// message.
	End Position
	// Missing is why places up to End have no message.
	Missing Loss
	// Unread says that End begins a new incarnation of the stream, and that the end
	// of the previous one was never read.
	Unread bool
}
