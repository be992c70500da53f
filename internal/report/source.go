// Package report builds reports of a roster and publishes them.
//
// A published report is the roster exactly as it was at the report's place: it
// includes every event up to there, and none after. An answer to a question for a
// report is built page by page while the fold continues: it includes every event up
// to its place, and those later ones that were folded before the page was built.
//
// Nothing is reported before the service has caught up, so a partial roster is
// never shown as the whole.
package report

import (
	"slices"
	"time"

	"github.com/nats-io/nuid"

	"rollcall/internal/api"
	"rollcall/internal/roster"
)

// Source is what reports and answers are built from.
type Source struct {
	Roster *roster.Roster
	// Stream is the name of the stream of events, for reports.
	Stream string
	// CaughtUp reports whether the roster has read everything that the stream had
	// when the service started. It must be safe for use by several goroutines.
	CaughtUp func() bool
	// SilentAfter is how long after its last event a machine is silent: its users
	// are then the last known, and may no longer be on. 0: never. A machine that says how
	// often it lists who is on is silent after twice that.
	SilentAfter time.Duration
	// Stale reports that the state of the stream is unknown, so that the roster may
	// be outdated; nil: never.
	Stale func() bool
	// KnownUntil returns the time up to which the events of the stream are known;
	// nil: now. Stale and KnownUntil must be quick, and safe for use by several
	// goroutines.
	KnownUntil func() time.Time
}

// Silent reports whether a machine last heard at heard, which lists every so often who is
// on (0: unknown), is silent at a time of our clock. It is only for display. No machine
// becomes silent while we ourselves receive nothing.
func (s *Source) Silent(heard roster.Time, every time.Duration, at time.Time) bool {
	return s.silent(heard, every, s.known(at))
}

// SilentAt returns Silent for one time: it is quicker for many machines.
func (s *Source) SilentAt(at time.Time) func(heard roster.Time, every time.Duration) bool {
	known := s.known(at)
	return func(heard roster.Time, every time.Duration) bool { return s.silent(heard, every, known) }
}

// known returns a time, or the earlier one up to which the events are known.
func (s *Source) known(at time.Time) roster.Time {
	if s.KnownUntil != nil {
		//guard:false "no machine is silent because we receive nothing" TestSilentUntil
		if until := s.KnownUntil(); until.Before(at) {
			at = until
		}
	}
	return roster.TimeOf(at)
}

func (s *Source) silent(heard roster.Time, every time.Duration, at roster.Time) bool {
	after := s.SilentAfter
	//guard:false "a machine with an agent is silent when its agent is" TestSilentEvery
	if every > 0 {
		after = 2 * every
	}
	return after > 0 && heard < at.Add(-after)
}

// Reasons returns why a roster is incomplete or may be outdated. It is never nil.
func (s *Source) Reasons(st *roster.Status) []string {
	reasons := []string{}
	if !st.Complete() {
		reasons = losses(st)
	}
	return s.whenStale(reasons)
}

// ReasonsOf returns why the users of one machine may be incomplete or outdated:
// without the losses that concern only other machines. It is never nil.
func (s *Source) ReasonsOf(st *roster.Status, v roster.View) []string {
	reasons := []string{}
	for _, loss := range roster.AllLosses() {
		//guard:drop v.ConcernedBy(loss) "what one site lost concerns no machine of another" TestReasonsOfSources
		if st.Losses[loss] != 0 && v.ConcernedBy(loss) {
			reasons = append(reasons, loss.String())
		}
	}
	if limit := roster.LossLimit.String(); v.Limited() && !slices.Contains(reasons, limit) {
		reasons = append(reasons, limit)
	}
	return s.whenStale(reasons)
}

// whenStale appends Stale to the reasons if the roster may be outdated.
func (s *Source) whenStale(reasons []string) []string {
	//guard:false "a stale report is not complete" TestStale
	if s.Stale != nil && s.Stale() {
		reasons = append(reasons, api.Stale)
	}
	return reasons
}

// Head returns a report with a new ID, without machines: only what it says of the
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
// which the roster is complete if none of them is left. A time not known yet is
// zero.
func Unsettled(st *roster.Status) (machines int, settles, complete time.Time) {
	if st.Complete() {
		return 0, time.Time{}, time.Time{}
	}
	return st.Unsettled, timeOrZero(st.SettlesAfter()), timeOrZero(st.CompleteAfter)
}

// timeOrZero converts a time; 0 becomes the zero time.
func timeOrZero(t roster.Time) time.Time {
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
