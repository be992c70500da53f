package report

import (
	"time"

	"github.com/nats-io/nuid"

	"rollcall/internal/roster"
)

// Source is what reports and answers are made of.
type Source struct {
	Roster *roster.Roster
	// Stream is the name of the stream of events, as reports say it.
	Stream string
	// CaughtUp tells whether the roster has read all that there was when the
	// service started. It must be safe for use by several goroutines.
	CaughtUp func() bool
	// SilentAfter is how long a machine may not be heard from before it is
	// silent: its users are the last known then, and it isn't said that they
	// are still on. 0 is for ever.
	SilentAfter time.Duration
}

// Silent reports whether a machine that was last heard at one time is silent at
// another. Silence is told by our clock, and decides nothing.
func (s *Source) Silent(heard roster.Time, at time.Time) bool {
	return s.SilentAfter > 0 && heard < roster.TimeOf(at).Add(-s.SilentAfter)
}

// Head begins a report with an ID of its own: what it says of the roster as a
// whole.
func (s *Source) Head(st *roster.Status, when time.Time) Report {
	reasons := Reasons(st)
	r := Report{
		ID: nuid.Next(), When: when, Stream: s.Stream,
		Sequence: st.Position.Sequence(), Place: st.Position.Place,
		Complete: len(reasons) == 0, Reasons: reasons,
	}
	r.Unsettled, r.CompleteAfter = Unsettled(st)
	return r
}

// Unsettled returns, of a roster that is not complete, how many machines are
// unsettled, and after which receipt it is complete if none of them is left;
// zero: not known yet.
func Unsettled(st *roster.Status) (machines int, until time.Time) {
	if st.Complete() {
		return 0, time.Time{}
	}
	if st.CompleteAfter != 0 {
		until = st.CompleteAfter.Time()
	}
	return st.Unsettled, until
}

// Reasons returns why a roster is not complete: the names of its losses. It is
// never nil.
func Reasons(st *roster.Status) []string {
	if st.Complete() {
		return []string{}
	}
	return Losses(st)
}

// Losses returns the names of the losses of a roster that may still concern a
// machine. It is never nil.
func Losses(st *roster.Status) []string {
	reasons := []string{}
	for _, loss := range roster.AllLosses() {
		if st.Losses[loss] != 0 {
			reasons = append(reasons, loss.String())
		}
	}
	return reasons
}
