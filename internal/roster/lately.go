package roster

import "container/heap"

// lately has the machines that were heard within the allowed lateness before the
// newest receipt, in a heap by when: the one that is about to leave stands
// first. A machine that is heard again is not moved; it is put in order when it
// comes to stand first.
type lately []heard

// heard is no later than when the machine was last heard.
type heard struct {
	receipt Time
	number  uint32
}

// The methods of [heap.Interface].
func (l lately) Len() int           { return len(l) }
func (l lately) Less(i, j int) bool { return l[i].receipt < l[j].receipt }
func (l lately) Swap(i, j int)      { l[i], l[j] = l[j], l[i] }
func (l *lately) Push(h any)        { *l = append(*l, h.(heard)) }
func (l *lately) Pop() any {
	last := (*l)[len(*l)-1]
	*l = (*l)[:len(*l)-1]
	return last
}

// received notes that a message was read: the time by which machines are hidden,
// which is that of receipts, goes on.
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

// standing is as what the status counts a machine.
type standing struct{ lately, hidden, unsettled, limited bool }

// standingOf returns the standing of a machine. It was heard lately if it was heard
// at since or after.
func (r *Roster) standingOf(st *Status, m *machine, since Time) standing {
	s := standing{lately: m.heard >= since, limited: m.limited()}
	s.hidden = !s.lately && m.users == 0
	s.unsettled = s.lately && !st.settles(m.reset)
	return s
}

// count counts a machine as what it is now and no longer as what it was.
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
