package roster

// Loss is why a roster is not complete: why events are missing from it.
type Loss uint8

// The losses. BaselineLost: the stream began before what was ever read.
// Truncated: it lost messages to age, size, count or a purge before they were
// read. Deleted: single messages were deleted. Gap: messages are missing and
// nothing explains it. Recreated: the stream is another, and the end of the
// old one was never read. LossLimit: events were refused because the roster was full.
const (
	BaselineLost Loss = iota
	Truncated
	Deleted
	Gap
	Recreated
	LossLimit
	losses
)

var lossNames = [losses]string{
	BaselineLost: "baseline_lost", Truncated: "truncated", Deleted: "deleted",
	Gap: "gap", Recreated: "recreated", LossLimit: "limit",
}

// String returns the name of the loss in metrics and reports: "baseline_lost".
func (l Loss) String() string { return lossNames[l] }

// AllLosses returns all losses.
func AllLosses() []Loss {
	return []Loss{BaselineLost, Truncated, Deleted, Gap, Recreated, LossLimit}
}

// Losses has the place of the last loss of each kind; 0 is none.
//
// A loss concerns every machine until a boot, shutdown or present of that
// machine comes at a later place. When the last machine has had one, all
// losses are over.
type Losses [losses]uint64

// last is the place of the last loss of any kind.
func (l Losses) last() uint64 {
	var last uint64
	for _, place := range l {
		last = max(last, place)
	}
	return last
}

// any is 1 if there is a loss, else 0.
func (l Losses) any() int { return int(min(l.last(), 1)) }

// lost notes a loss at a place: it concerns every machine there is.
func (st *Status) lost(why Loss, place uint64) {
	if place <= st.accepted {
		return
	}
	st.Losses[why] = max(st.Losses[why], place)
	st.Unsettled = st.Machines
}

// Accept ends the losses up to a place, and those up to there that are still to
// be noted: an operator knows of them and takes the roster as it is.
func (r *Roster) Accept(place uint64) {
	r.fold.Lock()
	defer r.fold.Unlock()
	st := r.status
	st.accepted = place
	for why, lost := range st.Losses {
		if lost <= place {
			st.Losses[why] = 0
		}
	}
	st.Unsettled = 0
	if last := st.Losses.last(); last > 0 {
		for m := range r.fleet.all {
			if m.reset.Place <= last {
				st.Unsettled++
			}
		}
	}
	r.statusMu.Lock()
	defer r.statusMu.Unlock()
	r.status = st
}

// settle notes that a machine's reset rose from one place to another, and ends
// all losses when it was the last one that they concerned.
func (st *Status) settle(from, to uint64) {
	last := st.Losses.last()
	if last == 0 || from > last || to <= last {
		return
	}
	if st.Unsettled--; st.Unsettled == 0 {
		st.Losses = Losses{}
	}
}
