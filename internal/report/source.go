// Package report makes reports of a roster and publishes them.
//
// What the service publishes is the roster exactly as it was at the report's
// place: every event up to there is in it, and none after. An answer to a question
// for a report is made page by page while the roster goes on: every event up to its
// place is in it, and of the events after it those that the fold came to before the
// page did.
//
// Nothing is reported before the service has caught up: half a roster is never
// shown as the whole.
package report

import (
	"slices"
	"time"

	"github.com/nats-io/nuid"

	"rollcall/internal/api"
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
	// Stale reports that it is not known how the stream stands now, so that the
	// roster need not be of now; nil: never.
	Stale func() bool
	// Until is the moment up to which it is known whom the stream has heard;
	// nil: now. Both must be quick, and safe for use by several goroutines.
	Until func() time.Time
}

// Silent reports whether a machine that was last heard at one time is silent at
// another. Silence is told by our clock, and decides nothing. Nobody falls silent
// because it is we who hear nobody.
func (s *Source) Silent(heard roster.Time, at time.Time) bool {
	if s.SilentAfter <= 0 {
		return false
	}
	if s.Until != nil {
		//guard:false "nobody is silent because we hear nobody" TestSilentUntil
		if until := s.Until(); until.Before(at) {
			at = until
		}
	}
	return heard < roster.TimeOf(at).Add(-s.SilentAfter)
}

// Reasons returns why a roster is not complete, and whether it is of now. It is
// never nil.
func (s *Source) Reasons(st *roster.Status) []string {
	reasons := []string{}
	if !st.Complete() {
		reasons = losses(st)
	}
	return s.whenStale(reasons)
}

// ReasonsOf returns why what is known of one machine is not complete: what was
// lost of others does not concern it. It is never nil.
func (s *Source) ReasonsOf(st *roster.Status, v roster.View) []string {
	reasons := []string{}
	if !v.Settled() {
		reasons = losses(st)
	}
	if limit := roster.LossLimit.String(); v.Limited() && !slices.Contains(reasons, limit) {
		reasons = append(reasons, limit)
	}
	return s.whenStale(reasons)
}

// whenStale adds to the reasons that the roster need not be of now.
func (s *Source) whenStale(reasons []string) []string {
	//guard:false "a stale report is not complete" TestStale
	if s.Stale != nil && s.Stale() {
		reasons = append(reasons, api.Stale)
	}
	return reasons
}

// Head begins a report with an ID of its own: what it says of the roster as a
// whole.
func (s *Source) Head(st *roster.Status, when time.Time) api.Report {
	reasons := s.Reasons(st)
	r := api.Report{
		ID: nuid.Next(), When: when, Stream: s.Stream,
		Sequence: st.Position.Sequence(), Place: st.Position.Place,
		//guard:true "after a loss no report is complete" TestIncomplete
		Complete: len(reasons) == 0, Reasons: reasons,
	}
	r.Unsettled, r.SettlesAfter, r.CompleteAfter = Unsettled(st)
	return r
}

// Unsettled returns, of a roster that is not complete, how many machines are
// unsettled, the date after which a reset settles one, and the receipt after
// which the roster is complete if none of them is left; zero: not known yet.
func Unsettled(st *roster.Status) (machines int, settles, complete time.Time) {
	if st.Complete() {
		return 0, time.Time{}, time.Time{}
	}
	return st.Unsettled, known(st.SettlesAfter()), known(st.CompleteAfter)
}

// known is a time that may be 0, which is none.
func known(t roster.Time) time.Time {
	if t == 0 {
		return time.Time{}
	}
	return t.Time()
}

// losses returns the names of the losses of a roster that may still concern a
// machine. It is never nil.
func losses(st *roster.Status) []string {
	reasons := []string{}
	for _, loss := range roster.AllLosses() {
		if st.Losses[loss] != 0 {
			reasons = append(reasons, loss.String())
		}
	}
	return reasons
}
