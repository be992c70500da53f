package api

import "time"

// Past says what an answer about the past is about, and what it lacks.
type Past struct {
	// At is the moment that was answered; in counts, the end of the time; zero in a
	// history, unless Future.
	At time.Time `json:"at,omitzero"`
	// Future says that the moment asked about lies ahead: the answer is that of now.
	Future bool `json:"future,omitzero"`
	// KeptFrom is set if the question reaches back before what the history knows:
	// sessions that ended before KeptFrom are missing.
	KeptFrom time.Time `json:"kept_from,omitzero"`
	// MachinesIncomplete counts the machines that may lack sessions. Gaps has the
	// first of their gaps.
	MachinesIncomplete int   `json:"machines_incomplete,omitzero"`
	Gaps               []Gap `json:"gaps,omitzero"`
}

// Gap is a time for which the history of a machine may lack sessions.
type Gap struct {
	Machine string    `json:"machine"`
	From    time.Time `json:"from"`
	Until   time.Time `json:"until,omitzero"` // zero: it goes on
	Reason  string    `json:"reason"`
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
	// Users are those who were on, in byte order of their names.
	Users []string `json:"users"`
}

// HistoryAnswer has the sessions that overlap a span of time, ordered by beginning.
type HistoryAnswer struct {
	Head
	// Cursor is for the question that continues after these sessions; empty if there
	// are no more.
	Cursor string `json:"cursor,omitzero"`
	// Missing: see [MachineAnswer]; only in answers about one machine.
	Missing  uint64     `json:"missing,omitzero"`
	Past     *Past      `json:"past"`
	Sessions []PastStay `json:"sessions"`
	// Marks are the boots and shutdowns, if they were asked for, in the order of the
	// sessions; only on the first page. MoreMarks says that there are older ones.
	Marks     []Mark `json:"marks,omitzero"`
	MoreMarks bool   `json:"more_marks,omitzero"`
}

// Mark is a boot or a shutdown of a machine.
type Mark struct {
	Machine string    `json:"machine"`
	Time    time.Time `json:"time"`
	Kind    string    `json:"kind"` // boot or shutdown
}

// CountsAnswer has how many were on, from time to time.
type CountsAnswer struct {
	Head
	Past   *Past   `json:"past"`
	Counts []Count `json:"counts"`
}

// Count is how many were on at a moment.
type Count struct {
	Time     time.Time `json:"time"`
	Users    int       `json:"users"`
	Machines int       `json:"machines"` // with somebody on
	Sessions int       `json:"sessions"`
}

// PastStay is one session, from its beginning to its end.
type PastStay struct {
	Machine string `json:"machine"`
	// User is empty if nobody saw the session begin and its end named no user.
	User string `json:"user,omitzero"`
	// ID identifies the session on its machine; empty: the user's implicit one.
	ID string `json:"session,omitzero"`
	// Since is zero if SinceUnknown: only the end of the session is known.
	Since        time.Time `json:"since,omitzero"`
	SinceUnknown bool      `json:"since_unknown,omitzero"`
	Terminal     string    `json:"terminal,omitzero"`
	Remote       string    `json:"remote,omitzero"`
	Service      string    `json:"service,omitzero"`
	// Ended is when it ended; zero while it is open.
	Ended time.Time `json:"ended,omitzero"`
	// How is how it ended; open: it has not. See PastStay in the contract.
	How string `json:"how"`
}
