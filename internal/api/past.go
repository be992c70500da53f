package api

import "time"

// Past is the progress of an answer to a question about the past.
type Past struct {
	// At is the moment asked about; zero for a history.
	At time.Time `json:"at,omitzero"`
	// Done says that the answer is ready. Until then the stream is being read, and
	// the answer has only a cursor to ask again with.
	Done bool `json:"done"`
	// First, Read and Last are sequences of the stream: the first that it had, the
	// last that has been read, and the last that has to be read.
	First uint64 `json:"first"`
	Read  uint64 `json:"read"`
	Last  uint64 `json:"last"`
	// CompleteFrom is set if the stream begins after the moment asked about, and the
	// roster knows nothing older: an answer for this moment or later would be
	// complete.
	CompleteFrom time.Time `json:"complete_from,omitzero"`
	// Unplaced counts the events that arrived too late for the question's memory
	// limit.
	Unplaced uint64 `json:"unplaced,omitzero"`
}

// PastReport is a report of a past moment, or one page of it.
type PastReport struct {
	ID string `json:"report"`
	Head
	// Cursor is for the question that continues after this answer; empty on the last.
	Cursor string `json:"cursor,omitzero"`
	Past   *Past  `json:"past"`
	// Machines are in byte order of their names. One that doesn't fit continues
	// at the beginning of the next page.
	Machines []PastMachine `json:"machines"`
}

// PastMachine is one machine of a report of a past moment.
type PastMachine struct {
	Name string `json:"machine"`
	// Heard is the newest receipt of an event dated up to then; zero if the stream no
	// longer has one.
	Heard time.Time `json:"heard,omitzero"`
	// Users are those who were on, in byte order of their names.
	Users []string `json:"users"`
}

// HistoryAnswer has the sessions that overlap a span of time, ordered by beginning,
// machine, user and session.
type HistoryAnswer struct {
	Head
	// Cursor is for the question that continues after these sessions; empty if there
	// are no more.
	Cursor   string     `json:"cursor,omitzero"`
	Past     *Past      `json:"past"`
	Sessions []PastStay `json:"sessions"`
}

// PastStay is one session, from its beginning to its end.
type PastStay struct {
	Machine string `json:"machine"`
	Session
	// Ended is when it ended; zero for a session that is open, or whose end is
	// not known.
	Ended time.Time `json:"ended,omitzero"`
	// How is how it ended, or why that is not known: see PastStay in the contract.
	How string `json:"how"`
}
