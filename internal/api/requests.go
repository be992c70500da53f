package api

// Moment is the time that a question asks about. The zero value means now: all
// events read, even those dated in the future. A moment that lies ahead means now, too.
type Moment struct {
	// At is in RFC 3339, and inclusive.
	At string `json:"at,omitzero"`
}

// Filter selects a part of the report: what matches all fields that are set. The
// zero value selects all of it.
type Filter struct {
	// Machines is a pattern for names of machines; see [Matches].
	Machines string `json:"machines,omitzero"`
	// Names selects these machines, at most 300.
	Names []string `json:"names,omitzero"`
	// OnSeveral selects users who are on more than one machine.
	OnSeveral bool `json:"on_several,omitzero"`
	// SilentFor selects machines that have not been heard for so long: a number with
	// a unit, such as 90s or 1h30m.
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
	// Moment can be combined with Machines and Names, but not with OnSeveral, SilentFor
	// and Longest.
	Moment
	// Longest asks, instead of for machines, for this number of sessions, at most
	// 1000: those that have lasted longest. The answer is a LongestAnswer.
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

// SessionsRequest asks for the open sessions on several machines.
type SessionsRequest struct {
	// Names are machines, at most 300, and Machines and Users are patterns; see
	// [Matches]. User, Remote, Service and ID select sessions. Empty: any.
	Names    []string `json:"names,omitzero"`
	Machines string   `json:"machines,omitzero"`
	Users    string   `json:"users,omitzero"`
	User     string   `json:"user,omitzero"`
	Remote   string   `json:"remote,omitzero"`
	Service  string   `json:"service,omitzero"`
	ID       string   `json:"session,omitzero"`
	// Parts says that Machines, Users, User, Remote, Service and ID select what contains
	// them; see [Contains].
	Parts bool `json:"parts,omitzero"`
	Moment
	// Limit is how many sessions the answer may have at most, from 1; nil: as many as
	// fit.
	Limit *uint32 `json:"limit,omitzero"`
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
}

// FindRequest asks which names contain a text; see [Contains].
type FindRequest struct {
	Text string `json:"text,omitzero"`
	// Kind is Machines or Users; empty: both.
	Kind string `json:"kind,omitzero"`
	// Limit is how many machines, and how many users, the answer may have at most: 1 to
	// 200; nil: 20.
	Limit *uint32 `json:"limit,omitzero"`
}

// The kinds of names that can be found.
const (
	Machines = "machines"
	Users    = "users"
)

// HistoryRequest asks for the sessions that overlap a span of time.
type HistoryRequest struct {
	// Machine, Names, Machines, User, Remote and Service select sessions; empty: any.
	// Names are at most 300 machines, and Machines is a pattern; see [Matches].
	Machine  string   `json:"machine,omitzero"`
	Names    []string `json:"names,omitzero"`
	Machines string   `json:"machines,omitzero"`
	User     string   `json:"user,omitzero"`
	Remote   string   `json:"remote,omitzero"`
	Service  string   `json:"service,omitzero"`
	// Parts says that Machines, User, Remote and Service select what contains them; see
	// [Contains]. Open selects the sessions that have not ended.
	Parts bool `json:"parts,omitzero"`
	Open  bool `json:"open,omitzero"`
	// From and To are in RFC 3339, and inclusive; empty: no bound.
	From string `json:"from,omitzero"`
	To   string `json:"to,omitzero"`
	// Order is Newest or Oldest; empty: Newest.
	Order string `json:"order,omitzero"`
	// Marks asks for boots and shutdowns, too; needs Machine or Names.
	Marks bool `json:"marks,omitzero"`
	// Limit is how many sessions the answer may have at most, from 1; nil: as many as
	// fit.
	Limit *uint32 `json:"limit,omitzero"`
	// Cursor is from an earlier answer; empty: from the beginning.
	Cursor string `json:"cursor,omitzero"`
}

// CountsRequest asks how many were on at the multiples of a step of time since 1970 that
// lie between two moments: at most 2000.
type CountsRequest struct {
	// From and To are in RFC 3339, and inclusive; empty: 24 hours before To, and now.
	From string `json:"from,omitzero"`
	To   string `json:"to,omitzero"`
	// Step is a number with a unit, such as 30s or 1h30m, at least 1s; empty: 5m.
	Step string `json:"step,omitzero"`
}

// The orders of a history: which sessions come first.
const (
	Newest = "newest"
	Oldest = "oldest"
)

// StatusRequest asks about the service itself. It has no fields.
type StatusRequest struct{}

// InstancesRequest asks every process that answers on these subjects who it is.
type InstancesRequest struct {
	// Instance is the asking process, if it is a service itself. A service that
	// doesn't know it yet then queries the others too.
	Instance string `json:"instance,omitzero"`
}
