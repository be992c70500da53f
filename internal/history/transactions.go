package history

import (
	"cmp"
	"slices"
	"sync"

	"rollcall/internal/roster"
)

// delta says that a transaction added a stay (n is 1), or deleted one (-1). What became
// of an open stay that ended is two: the open one is deleted, and one that has ended is
// added.
type delta struct {
	since, ended  roster.Time // endOfTime: it is open
	machine, user uint32
	n             int32
}

// transactions has the deltas of the last transactions of one file, in its order, so that what
// is kept from it can be brought up to date.
type transactions struct {
	mu   sync.Mutex
	list []transaction
	size int // transactions and deltas
}

// transaction has the deltas of one transaction.
type transaction struct {
	number uint64
	deltas []delta
}

// maxDeltas is how many transactions and deltas are kept: at 1,000 events/s, those of some
// minutes.
const maxDeltas = 250_000

// add adds a transaction that was committed. If it does not follow the one before, or
// has too many deltas, those before are of no use any more.
func (r *transactions) add(t transaction) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.list); n > 0 {
		switch last := r.list[n-1].number; {
		case t.number == last:
			return
		//guard:false "a count is brought up to date only by all that changed since" TestTransactions
		case t.number != last+1:
			r.list, r.size = nil, 0
		}
	}
	r.list = append(r.list, t)
	r.size += 1 + len(t.deltas)
	for r.size > maxDeltas {
		r.size -= 1 + len(r.list[0].deltas)
		r.list[0].deltas, r.list = nil, r.list[1:]
	}
}

// between returns the transactions after one up to another. It returns false if not all
// of them are kept.
func (r *transactions) between(after, upTo uint64) ([]transaction, bool) {
	if after == upTo {
		return nil, true
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.list) == 0 || after > upTo {
		return nil, false
	}
	first := r.list[0].number
	if after+1 < first || upTo >= first+uint64(len(r.list)) {
		return nil, false
	}
	return slices.Clone(r.list[after+1-first : upTo+1-first]), true
}

// datedShift is a shift and the point from which on it counts.
type datedShift struct {
	from int64
	shift
}

// eachShift calls show with what transactions changed for those who count in steps. What
// each changed on a machine is added up: where an open stay ended, its beginning changes
// nothing.
func eachShift(list []transaction, step roster.Time, show func(from int64, c shift)) {
	var of []datedShift // one machine
	for _, t := range list {
		for i := range t.deltas {
			d := &t.deltas[i]
			if len(of) > 0 && of[0].machine != d.machine {
				addUp(of, show)
				of = of[:0]
			}
			from, to := d.points(step)
			if from == to {
				continue
			}
			of = append(of, datedShift{from, shift{d.machine, d.user, d.n}})
			if d.ended != endOfTime {
				of = append(of, datedShift{to, shift{d.machine, d.user, -d.n}})
			}
		}
		addUp(of, show)
		of = of[:0]
	}
}

// addUp calls show with the sums of what concerns the same user and point, unless they
// are 0.
func addUp(list []datedShift, show func(from int64, c shift)) {
	slices.SortFunc(list, func(a, b datedShift) int { return cmp.Or(cmp.Compare(a.from, b.from), cmp.Compare(a.user, b.user)) })
	for i := 0; i < len(list); {
		sum := list[i]
		for i++; i < len(list) && list[i].from == sum.from && list[i].user == sum.user; i++ {
			sum.n += list[i].n
		}
		if sum.n != 0 {
			show(sum.from, sum.shift)
		}
	}
}
