package api

import (
	"errors"
	"fmt"
	"time"

	"github.com/go-json-experiment/json"
)

// Stale is a reason for being incomplete that is not a loss: the state of the stream
// is unknown, because NATS is disconnected or does not answer.
const Stale = "stale"

// Head is the beginning of every answer: how far the roster had read when the answer
// was built, and whether anything is missing from it. The answer includes every event
// up to its place, and perhaps later ones.
type Head struct {
	When time.Time `json:"when"`
	// Stream is the stream of events. Sequence is the number of the last message
	// read, in this stream; Place is its number among all messages ever read.
	Stream   string   `json:"stream"`
	Sequence uint64   `json:"sequence"`
	Place    uint64   `json:"place"`
	Complete bool     `json:"complete"`
	Reasons  []string `json:"reasons"`
	// Unsettled, SettlesAfter and CompleteAfter: see [Report].
	Unsettled     int       `json:"unsettled,omitzero"`
	SettlesAfter  time.Time `json:"settles_after,omitzero"`
	CompleteAfter time.Time `json:"complete_after,omitzero"`
}

func (h *Head) check() error {
	switch {
	case h.When.IsZero():
		return errors.New("no when")
	case h.Stream == "":
		return errors.New("no stream")
	}
	return nil
}

// Answer is a pointer to the type of an answer.
type Answer[A any] interface {
	*A
	// check validates the values of an answer whose JSON was decoded.
	check() error
}

// Decode decodes the JSON of an answer: one that has a Head, or an Instance.
// Unknown keys are ignored, so that an old client understands a new service.
func Decode[A any, P Answer[A]](data []byte) (A, error) {
	var a A
	err := json.Unmarshal(data, &a)
	if err == nil {
		err = P(&a).check()
	}
	if err != nil {
		return a, fmt.Errorf("decoding answer: %w", err)
	}
	return a, nil
}

// Session is one open session.
type Session struct {
	User string `json:"user"`
	// ID identifies the session on its machine; empty: the user's implicit one.
	ID    string    `json:"session,omitzero"`
	Since time.Time `json:"since"`
	// SinceExact is false if Since is the date of the last event that said that the user
	// is on, so that the session may have begun earlier; nil: it is exact.
	SinceExact *bool  `json:"since_exact,omitzero"`
	Terminal   string `json:"terminal,omitzero"`
	Remote     string `json:"remote,omitzero"`
	Service    string `json:"service,omitzero"`
}

// Stay is an open session and its machine.
type Stay struct {
	Machine string `json:"machine"`
	// Silent says that the machine has not been heard for a long time: the session
	// is the last known.
	Silent bool `json:"silent,omitzero"`
	Session
}

// MachineAnswer lists who is on a machine, by user and session.
type MachineAnswer struct {
	Head
	Machine string `json:"machine"`
	// Heard is the receipt of the last event accepted from the machine; zero for a past
	// moment.
	Heard time.Time `json:"heard,omitzero"`
	// Newest is the newest date of its accepted events; zero for a past moment.
	Newest time.Time `json:"newest,omitzero"`
	// Changed is the newest date of an accepted login or logout of it; zero if there was
	// none, and for a past moment.
	Changed time.Time `json:"changed,omitzero"`
	// Silent says that Heard is long ago: the sessions are the last known.
	Silent bool `json:"silent,omitzero"`
	// Missing is how many of its events never arrived, as far as their numbers tell, at
	// most 2^40; Origins are the counters of those heard last. Both are empty for a past
	// moment.
	Missing uint64   `json:"missing,omitzero"`
	Origins []Origin `json:"origins,omitzero"`
	// Cursor is for the question that continues after these sessions; empty if there
	// are no more.
	Cursor string `json:"cursor,omitzero"`
	// Past is nil if the question was about now.
	Past     *Past     `json:"past,omitzero"`
	Sessions []Session `json:"sessions"`
}

// Origin is one counter of a machine's events: that of an agent's folder.
type Origin struct {
	Origin string `json:"origin"`
	// Number is the greatest that was seen, and Date the newest date.
	Number uint64    `json:"number"`
	Date   time.Time `json:"date"`
	// Missing is how many of its numbers were not seen.
	Missing uint64 `json:"missing,omitzero"`
	// Reused counts the events with a number that an earlier event had: the agent's folder
	// was restored from a copy, or two agents use copies of it.
	Reused uint64 `json:"reused,omitzero"`
}

// UserAnswer lists where a user is, by machine and session.
type UserAnswer struct {
	Head
	User string `json:"user"`
	// Cursor is for the question that continues after these sessions; empty if there
	// are no more.
	Cursor string `json:"cursor,omitzero"`
	// Past is nil if the question was about now.
	Past     *Past  `json:"past,omitzero"`
	Sessions []Stay `json:"sessions"`
}

// LongestAnswer has the sessions that have lasted longest, the longest first.
type LongestAnswer struct {
	Head
	Sessions []Stay `json:"sessions"`
}

// SessionsAnswer lists who is on, by machine, user and session.
type SessionsAnswer struct {
	Head
	// Cursor is for the question that continues after these sessions; empty if there
	// are no more.
	Cursor string `json:"cursor,omitzero"`
	// Past is nil if the question was about now.
	Past *Past `json:"past,omitzero"`
	// Machines are in byte order of their names. One that doesn't fit continues at the
	// beginning of the next page.
	Machines []MachineSessions `json:"machines"`
}

// MachineSessions is one machine, and who is on it.
type MachineSessions struct {
	Name string `json:"machine"`
	// Heard, Silent, Incomplete, Missing and Changed are as in [Machine]. They are not set
	// in an answer about a past moment.
	Heard      time.Time `json:"heard,omitzero"`
	Silent     bool      `json:"silent,omitzero"`
	Incomplete bool      `json:"incomplete,omitzero"`
	Missing    uint64    `json:"missing,omitzero"`
	Changed    time.Time `json:"changed,omitzero"`
	Sessions   []Session `json:"sessions"`
}

// FindAnswer has names that contain a text, the nearest first.
type FindAnswer struct {
	Head
	Machines []string `json:"machines"`
	Users    []string `json:"users"`
	// MoreMachines and MoreUsers say that there are others.
	MoreMachines bool `json:"more_machines,omitzero"`
	MoreUsers    bool `json:"more_users,omitzero"`
	// Partial says that names may be missing that only the history knows.
	Partial bool `json:"partial,omitzero"`
}
