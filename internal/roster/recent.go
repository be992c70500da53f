package roster

import "container/heap"

// recentHeap is a heap of the machines heard within the allowed lateness before the
// newest receipt, ordered by when they were heard: the next one to leave comes
// first. A machine that is heard again is not moved at once, but when it comes
// first.
type recentHeap []heard

// heard is a machine, and a receipt no later than when it was last heard.
type heard struct {
	receipt Time
	number  uint32
}

// The methods of [heap.Interface].
func (l recentHeap) Len() int           { return len(l) }
func (l recentHeap) Less(i, j int) bool { return l[i].receipt < l[j].receipt }
func (l recentHeap) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *recentHeap) Push(h any)        { *l = append(*l, h.(heard)) }
func (l *recentHeap) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// received advances the newest receipt to that of a message that was read, and
// hides machines by it.
func (r *Roster) received(st *Status, receipt Time) {
	st.Receipt = max(st.Receipt, receipt)
	before := r.hiddenBefore(st.Receipt)
	for len(r.lately) > 0 && r.lately[0].receipt < before {
		first := &r.lately[0]
		m := r.fleet.machines.At(first.number)
		if m.heard >= before {
			first.receipt = m.heard
			heap.Fix(&r.lately, 0)
			continue
		}
		was := r.standingOf(st, m, m.heard)
		heap.Pop(&r.lately)
		st.count(was, r.standingOf(st, m, before))
	}
	//guard:false "hidden machines are bounded" ^(TestRoom|TestRoomLeavesNoTrace)$
	if most := r.settings.MaxMachines; most > 0 && st.Hidden > most {
		r.forgetHidden(st)
	}
}

// standing is how the status counts a machine.
type standing struct{ lately, hidden, unsettled, limited bool }

// standingOf returns the standing of a machine. Lately means that it was heard at
// since or later.
func (r *Roster) standingOf(st *Status, m *machine, since Time) standing {
	s := standing{lately: m.heard >= since, limited: m.limited()}
	s.hidden = !s.lately && m.users == 0
	s.unsettled = s.lately && !st.settles(m.reset)
	return s
}

// count counts a machine as what it is now, and no longer as what it was.
func (st *Status) count(was, is standing) {
	st.Hidden += difference(was.hidden, is.hidden)
	st.Unsettled += difference(was.unsettled, is.unsettled)
	st.Limited += difference(was.limited, is.limited)
}

func difference(was, is bool) int {
	switch {
	case is && !was:
		return 1
	case was && !is:
		return -1
	}
	return 0
}
