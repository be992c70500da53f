package api

// Moment is the time that a question asks about. The zero value is now: all that
// was read, even what is dated ahead.
type Moment struct {
	// At is in RFC 3339, and inclusive.
	At string `json:"at,omitzero"`
}

// Filter says which part of the report is asked for; the zero value is all of it.
// All fields that are set must hold.
type Filter struct {
	// Machines is a pattern for names of machines: "*" is any text, "?" any one
	// character, and everything else is itself.
	Machines string `json:"machines,omitzero"`
	// OnSeveral leaves only users who are on more than one machine.
	OnSeveral bool `json:"on_several,omitzero"`
	// SilentFor leaves only machines that were not heard from for so long: a
	// number with a unit, such as 90s or 1h30m.
	SilentFor string `json:"silent_for,omitzero"`
}

// ReportRequest is a question for the report, or for a part of it.
type ReportRequest struct {
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
	// Limit is how many machines the answer may have at most, from 1; nil: as
	// many as fit.
	Limit *uint32 `json:"limit,omitzero"`
	Filter
	// The moment can be combined with Machines, but with no other part.
	Moment
	// Longest asks for so many sessions, at most 1000, instead of machines: those
	// that have lasted longest. The answer is a LongestAnswer.
	Longest *uint32 `json:"longest,omitzero"`
}

// MachineRequest asks who is on a machine.
type MachineRequest struct {
	Machine string `json:"machine"`
	Moment
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
}

// UserRequest asks where a user is.
type UserRequest struct {
	User string `json:"user"`
	Moment
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
}

// HistoryRequest asks for the sessions that overlap a span of time.
type HistoryRequest struct {
	// Machine and User narrow it down; empty is any.
	Machine string `json:"machine,omitzero"`
	User    string `json:"user,omitzero"`
	// From and To are in RFC 3339, and inclusive; empty is as far as is known.
	From string `json:"from,omitzero"`
	To   string `json:"to,omitzero"`
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
}

// StatusRequest asks about the service itself. It has no fields.
type StatusRequest struct{}

// InstancesRequest asks every process that answers on these subjects who it is.
type InstancesRequest struct {
	// Instance is who asks, if that is a service itself: one that doesn't know it
	// yet asks back.
	Instance string `json:"instance,omitzero"`
}
