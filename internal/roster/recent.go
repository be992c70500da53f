package roster

import "container/heap"

// recentHeap is a heap of the machines heard within the allowed lateness before the
// newest receipt, longest ago first. A machine that is heard again is not moved
// until it is at the top.
type recentHeap []recentMachine

// recentMachine is a machine, and a receipt no later than when it was last heard.
type recentMachine struct {
	receipt Time
	number  uint32
}

// The methods of [heap.Interface].
func (l recentHeap) Len() int           { return len(l) }
func (l recentHeap) Less(i, j int) bool { return l[i].receipt < l[j].receipt }
func (l recentHeap) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *recentHeap) Push(h any)        { *l = append(*l, h.(recentMachine)) }
func (l *recentHeap) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// advanceReceipt advances the newest receipt to that of a message, and hides the
// machines that have not been heard for the allowed lateness.
func (r *Roster) advanceReceipt(st *Status, receipt Time) {
	st.Receipt = max(st.Receipt, receipt)
	before := r.hiddenBefore(st.Receipt)
	for len(r.recent) > 0 && r.recent[0].receipt < before {
		first := &r.recent[0]
		m := r.fleet.machines.At(first.number)
		if m.heard >= before {
			first.receipt = m.heard
			heap.Fix(&r.recent, 0)
			continue
		}
		was := r.standingOf(st, m, m.heard)
		heap.Pop(&r.recent)
		st.recount(was, r.standingOf(st, m, before))
	}
	//guard:false "hidden machines are bounded" ^(TestEviction|TestEvictionLeavesNoTrace)$
	if most := r.settings.MaxMachines; most > 0 && st.Hidden > most {
		r.evictHidden(st)
	}
}

// standing is how the status counts a machine.
type standing struct {
	recent, hidden, unsettled, limited bool
	display
}

// display is what reports show of a machine, beside who is on and when it was heard.
type display struct {
	shown, incomplete bool
	missing           uint64
	changed           Time
}

// standingOf returns the standing of a machine. It is recent if it was heard at
// since or later.
func (r *Roster) standingOf(st *Status, m *machine, since Time) standing {
	settled := st.settles(m)
	s := standing{recent: m.heard >= since, limited: m.limited()}
	s.display = display{
		shown: s.recent || m.users > 0, incomplete: s.limited || !settled,
		missing: m.numbers.missing(), changed: m.changed,
	}
	s.hidden = !s.shown
	s.unsettled = s.recent && !settled
	return s
}

// recount updates the totals for a machine whose standing changes from was to is.
func (st *Status) recount(was, is standing) {
	st.Hidden += boolDelta(was.hidden, is.hidden)
	st.Unsettled += boolDelta(was.unsettled, is.unsettled)
	st.Limited += boolDelta(was.limited, is.limited)
	st.Missing += is.missing - was.missing
}

func boolDelta(was, is bool) int {
	switch {
	case is && !was:
		return 1
	case was && !is:
		return -1
	}
	return 0
}
