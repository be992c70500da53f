// Package report makes reports of a roster and publishes them.
//
// The published report is the roster exactly as it was at the report's place:
// every event up to there is in it, and none after. An answer to a question for a
// report is made page by page while the fold goes on: every event up to its place
// is in it, and of the events after it those that were folded before the page was
// made.
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
	// CaughtUp reports whether the roster has read everything that there was when
	// the service started. It must be safe for use by several goroutines.
	CaughtUp func() bool
	// SilentAfter is how long a machine may not be heard from before it is
	// silent. Then its users are the last known, and may no longer be on. 0:
	// never.
	SilentAfter time.Duration
	// Stale reports that the state of the stream is not known, so that the roster
	// may be outdated; nil: never.
	Stale func() bool
	// Until is the time up to which it is known whom the stream has heard; nil:
	// now. Stale and Until must be quick, and safe for use by several goroutines.
	Until func() time.Time
}

// Silent reports whether a machine that was last heard at one time is silent at
// another. Silence is measured by our clock, and decides nothing. No machine
// becomes silent because we ourselves hear from nobody.
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

// Reasons returns why a roster is not complete, or not up to date. It is never
// nil.
func (s *Source) Reasons(st *roster.Status) []string {
	reasons := []string{}
	if !st.Complete() {
		reasons = losses(st)
	}
	return s.whenStale(reasons)
}

// ReasonsOf returns why what is known of one machine is not complete: losses of
// other machines do not concern it. It is never nil.
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

// whenStale adds to the reasons that the roster may be outdated.
func (s *Source) whenStale(reasons []string) []string {
	//guard:false "a stale report is not complete" TestStale
	if s.Stale != nil && s.Stale() {
		reasons = append(reasons, api.Stale)
	}
	return reasons
}

// Head returns the head of a report, with a new ID: what the report says of the
// roster as a whole.
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

// Unsettled returns, for a roster that is not complete, how many machines are
// unsettled, the date after which a reset settles one, and the receipt after
// which the roster is complete if none of them is left. A zero time is not known
// yet.
func Unsettled(st *roster.Status) (machines int, settles, complete time.Time) {
	if st.Complete() {
		return 0, time.Time{}, time.Time{}
	}
	return st.Unsettled, known(st.SettlesAfter()), known(st.CompleteAfter)
}

// known converts a time. 0 means none and gives the zero time.
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
