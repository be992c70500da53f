package roster

import (
	"math"
	"time"
)

// Loss is why events are missing from a roster.
type Loss uint8

// The losses. BaselineLost: the stream had messages before the first one that was
// ever read. Truncated: it lost messages to age, size, count or a purge before they
// were read. Deleted: single messages were deleted. Gap: messages are missing for
// no known reason. Recreated: the stream was recreated, and the end of the old one
// was never read. LossLimit: events of machines that are not in the roster were
// refused because of a limit. SourceGap: messages of a source of the stream are missing, and
// SourceRecreated: a source was created anew, so that its end may be missing; see source.go.
const (
	BaselineLost Loss = iota
	Truncated
	Deleted
	Gap
	Recreated
	LossLimit
	SourceGap
	SourceRecreated
	losses
)

var lossNames = [losses]string{
	BaselineLost: "baseline_lost", Truncated: "truncated", Deleted: "deleted",
	Gap: "gap", Recreated: "recreated", LossLimit: "limit",
	SourceGap: "source_gap", SourceRecreated: "source_recreated",
}

// String returns the name of the loss in metrics and reports: "baseline_lost".
func (l Loss) String() string { return lossNames[l] }

// AllLosses returns all losses.
func AllLosses() []Loss {
	return []Loss{BaselineLost, Truncated, Deleted, Gap, Recreated, LossLimit, SourceGap, SourceRecreated}
}

// Losses has the place of the last loss of each kind; 0 is none.
//
// A loss concerns every machine, known or not, until a boot, shutdown or present
// of that machine settles it. That event must be at a later place, and dated more
// than the allowed skew after the receipt of the first message that was read
// after the loss. (A boot from before the loss may arrive late, from the spool of
// an agent, and says nothing about what was lost.) The loss also concerns a
// machine that is first heard after it, until it sends such an event. A loss of a source
// concerns the machines that were heard through it, and those first heard after it.
type Losses [losses]uint64

// Last is the place of the last loss of any kind, or 0 if there is none.
// Accepting it accepts all losses: see [Roster.Accept].
func (l Losses) Last() uint64 {
	var last uint64
	for _, place := range l {
		last = max(last, place)
	}
	return last
}

// ofStream is the place of the last loss of the stream itself, not of a source.
func (l Losses) ofStream() uint64 {
	l[SourceGap], l[SourceRecreated] = 0, 0
	return l.Last()
}

// never is the date after which a reset settles a machine while no message has
// been read after the last loss: none does.
const never Time = math.MaxInt64

// settling decides whether a machine is settled.
type settling struct {
	loss    uint64 // the place of the last loss of the stream; 0: none
	after   Time   // the date after which a reset settles a machine
	skew    time.Duration
	sources *sources // nil: none
}

// settles reports whether a machine is settled.
func (s *settling) settles(m *machine) bool { return s.settlesStream(m.reset) && s.settlesSources(m) }

// settlesStream reports whether no loss of the stream concerns a machine with this reset.
func (s *settling) settlesStream(reset Stamp) bool {
	//guard:drop reset.Date "a late boot from before a loss does not settle it" ^(TestLosses|TestSettled)$
	return s.loss == 0 || reset.Place > s.loss && reset.Date > s.after
}

// SettlesAfter returns the date after which a boot, shutdown or present settles a
// machine; 0 while there is no loss, and while no message was read after the last.
func (st *Status) SettlesAfter() Time {
	after := st.after
	if st.sources != nil {
		for i := range st.sources.list {
			if s := &st.sources.list[i]; s.loss() > 0 {
				after = max(after, s.resumed.Add(st.skew))
			}
		}
	}
	if after == never {
		return 0
	}
	return after
}

// Complete reports whether the roster is complete: no loss is known, or the last
// one no longer matters. That is when no machine heard within the allowed lateness
// is unsettled, and nothing was lost for the allowed lateness: by then a machine
// that is still unknown would have sent an event.
func (st *Status) Complete() bool {
	//guard:drop st.Receipt "a loss waits for unknown machines" ^(TestLosses|TestSettled)$
	return st.Losses == (Losses{}) || st.Unsettled == 0 && st.CompleteAfter != 0 && st.Receipt > st.CompleteAfter
}

// recordLoss records a loss at a place. It concerns every machine.
func (r *Roster) recordLoss(st *Status, why Loss, place uint64) {
	if place <= st.accepted {
		return
	}
	st.Losses[why] = max(st.Losses[why], place)
	st.firstReceiptAfterLoss = 0
	r.deriveSettling(st)
	//guard:set len(r.recent) min(1,len(r.recent)) "a loss concerns every machine" ^(TestLosses|TestSettled)$
	st.Unsettled = len(r.recent)
}

// recordResumed records that a message was read after the last loss.
func (r *Roster) recordResumed(st *Status) {
	st.firstReceiptAfterLoss = st.Receipt
	r.deriveSettling(st)
}

// deriveSettling sets settling and CompleteAfter from the last loss and the
// receipt of the first message after it.
func (r *Roster) deriveSettling(st *Status) {
	st.loss, st.after, st.skew, st.CompleteAfter = st.Losses.ofStream(), 0, r.settings.MaxSkew, 0
	switch {
	case st.loss == 0:
	case st.firstReceiptAfterLoss == 0:
		st.after = never
		return
	default:
		st.after = st.firstReceiptAfterLoss.Add(r.settings.MaxSkew)
		st.CompleteAfter = st.firstReceiptAfterLoss.Add(r.settings.AllowedLateness)
	}
	if st.sources == nil {
		return
	}
	for i := range st.sources.list {
		if s := &st.sources.list[i]; s.loss() > 0 {
			st.CompleteAfter = max(st.CompleteAfter, s.resumed.Add(r.settings.AllowedLateness))
		}
	}
}

// Accept accepts the losses up to a place, including those not recorded yet: an
// operator knows of them and considers the roster good as it is.
func (r *Roster) Accept(place uint64) {
	r.fold.Lock()
	defer r.fold.Unlock()
	st := r.status
	st.accepted = place
	for why, lost := range st.Losses {
		//guard:true "a loss after the accepted place is not accepted" TestAcceptAhead
		if lost <= place {
			st.Losses[why] = 0
		}
	}
	if st.Losses.ofStream() == 0 {
		st.firstReceiptAfterLoss = 0
	}
	r.acceptSources(&st, place)
	r.deriveSettling(&st)
	r.recountUnsettled(&st)
	r.statusMu.Lock()
	defer r.statusMu.Unlock()
	r.status = st
}

// recountUnsettled counts the machines heard within the allowed lateness that a loss
// concerns.
func (r *Roster) recountUnsettled(st *Status) {
	st.Unsettled = 0
	for _, h := range r.recent {
		if !st.settles(r.fleet.machines.At(h.number)) {
			st.Unsettled++
		}
	}
}
