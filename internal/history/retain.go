package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/roster"
)

const (
	// retainAtOnce is how many stays one transaction deletes at most: questions and new
	// events wait for no more.
	retainAtOnce = 2000
	// stayBytes is about what a stay takes in the file, with its indexes.
	stayBytes = 110
	// pagesAtOnce is how many pages the file shrinks by at a time.
	pagesAtOnce = 1000
)

// retain deletes what is older than keep, and, while the file is larger than most bytes,
// what the machines with the most bytes have that is oldest. It does a part of that,
// and reports whether there is more to do.
func (w *writer) retain(keep time.Duration, most int64) (more bool, err error) {
	if err := exec(w.c, "begin immediate"); err != nil {
		return false, err
	}
	w.changed = endOfTime
	defer func() { err = w.end(err) }()
	if more, err = w.expire(keep); err == nil && !more {
		more, err = w.evict(most)
	}
	if err != nil {
		return false, err
	}
	if err := w.saveState(); err != nil {
		return more, err
	}
	return more, run(w.c, fmt.Sprintf("pragma incremental_vacuum(%d)", pagesAtOnce))
}

// expire deletes the stays that ended longer ago than keep, before the newest receipt.
// It deletes none before the history itself is that old, so that who begins with an
// import of old events can ask about them.
func (w *writer) expire(keep time.Duration) (more bool, err error) {
	before := w.state.Receipt.Add(-keep)
	//guard:false "what is imported can be asked about" TestExpire
	if before <= w.state.Began {
		return false, nil
	}
	// It moves on in steps, so as not to search for every single stay.
	if step := roster.Time(min(keep/100, time.Hour)); !w.expiring && before < w.state.Kept+step {
		return false, nil
	}
	if !w.expiring {
		w.state.Kept, w.expiring = before, true
		w.changed = never
	}
	n, err := w.deleteEnded(`select e.class, e.since, e.machine, e.n, e.user, e.ended from classes c cross join ended e
		where e.class = c.class and e.since < ?1 and e.ended < ?1 limit ?2`, w.state.Kept, retainAtOnce)
	if err != nil || n == retainAtOnce {
		return err == nil, err
	}
	w.expiring = false
	for _, statement := range []string{
		"delete from marks where date < ?", "delete from strays where date < ?",
		"delete from doubts where until < ?",
	} {
		if err := exec(w.c, statement, w.state.Kept); err != nil {
			return false, err
		}
	}
	return false, nil
}

// deleteEnded deletes the stays that a statement selects, and returns how many.
func (w *writer) deleteEnded(statement string, args ...any) (int, error) {
	q, err := prepared(w.c, statement, args...)
	if err != nil {
		return 0, err
	}
	var list []endedRow
	for q.next() {
		list = append(list, endedRow{
			endedKey: endedKey{class: q.ColumnInt(0), since: q.time(1), machine: q.ColumnInt64(2), n: q.ColumnInt64(3)},
			user:     q.ColumnInt64(4), ended: q.time(5),
		})
	}
	if q.err != nil {
		return 0, q.err
	}
	for i := range list {
		if err := w.ended.delete(&list[i].endedKey, list[i].user, list[i].ended); err != nil {
			return 0, err
		}
	}
	return len(list), nil
}

// weight is about how many bytes of the file are a machine's.
type weight struct {
	machine, stays, window int64
	through                roster.Time // the stays that ended by then are to be deleted
}

func (a weight) bytes() int64 { return a.stays*stayBytes + a.window }

// evict deletes, if the file is larger than most bytes, of the machines with the most
// bytes the oldest stays: no machine can push out what others have told.
func (w *writer) evict(most int64) (more bool, err error) {
	if len(w.evicting) == 0 {
		size, err := w.size()
		if err != nil || size <= most {
			return false, err
		}
		if w.evicting, err = w.choose(size - most*9/10); err != nil || len(w.evicting) == 0 {
			return false, err
		}
	}
	e := &w.evicting[0]
	if e.stays > 0 && e.through == 0 {
		if e.through, err = w.oldest(e.machine, e.stays); err != nil {
			return false, err
		}
	}
	if e.stays > 0 {
		n, err := w.deleteEnded("select * from ("+endedFrom("select e.class, e.since, e.machine, e.n, e.user, e.ended", " and e.ended <= ?3")+") limit ?4",
			e.machine, -1, e.through, retainAtOnce)
		w.evicted += n
		if err != nil || n == retainAtOnce {
			return err == nil, err
		}
	}
	if e.window > 0 {
		if err := w.windows.prune(e.machine, endOfTime); err != nil {
			return false, err
		}
	}
	w.evicting = w.evicting[1:]
	return true, nil
}

// size returns how many bytes of the file are used.
func (w *writer) size() (int64, error) {
	var n [3]int64
	for i, name := range []string{"page_count", "freelist_count", "page_size"} {
		var err error
		if n[i], err = pragma(w.c, name); err != nil {
			return 0, err
		}
	}
	return (n[0] - n[1]) * n[2], nil
}

// choose returns what to evict, so that the machines with the most bytes lose so many
// in all, down to one level.
func (w *writer) choose(bytes int64) ([]weight, error) {
	all, err := w.weights()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b weight) int { return cmp.Compare(b.bytes(), a.bytes()) })
	level, left, n := int64(0), bytes, int64(0)
	for i := range all {
		n++
		next := int64(0)
		if i+1 < len(all) {
			next = all[i+1].bytes()
		}
		if step := n * (all[i].bytes() - next); step >= left {
			level = all[i].bytes() - left/n
			break
		} else {
			left -= step
		}
	}
	all = all[:n]
	for i := range all {
		over := all[i].bytes() - level
		all[i].stays = min(all[i].stays, over/stayBytes+1)
		if over <= all[i].stays*stayBytes {
			all[i].window = 0
		}
	}
	return all, nil
}

// weights returns what each machine has.
func (w *writer) weights() ([]weight, error) {
	byID := map[int64]*weight{}
	of := func(id int64) *weight {
		if byID[id] == nil {
			byID[id] = &weight{machine: id}
		}
		return byID[id]
	}
	q, err := prepared(w.c, "select machine, count(*) from (select machine from by_machine0 union all select machine from by_machine1 union all select machine from by_machine2) group by machine")
	if err != nil {
		return nil, err
	}
	for q.next() {
		of(q.ColumnInt64(0)).stays = q.ColumnInt64(1)
	}
	if q.err != nil {
		return nil, q.err
	}
	if q, err = prepared(w.c, "select id >> 32, sum(length(events) + length(base)) from windows group by 1"); err != nil {
		return nil, err
	}
	for q.next() {
		of(q.ColumnInt64(0)).window = q.ColumnInt64(1)
	}
	list := make([]weight, 0, len(byID))
	for _, one := range byID {
		list = append(list, *one)
	}
	return list, q.err
}

// oldest returns the date by which the oldest n stays of a machine had ended, and records
// that its history is incomplete up to then.
func (w *writer) oldest(machine, n int64) (roster.Time, error) {
	r := w.rows(machine)
	list, err := r.since(never)
	if err != nil || len(list) == 0 {
		return 1, err
	}
	//guard:drop "the oldest sessions are lost first" TestEvict
	slices.SortFunc(list, func(a, b stored) int { return cmp.Compare(a.Ended, b.Ended) })
	through := list[min(int64(len(list)), n)-1].Ended
	w.changed = never
	return through, r.doubt(0, through+1, never, evicted)
}

// evicted is the reason of a gap where the history had no space.
const evicted = "evicted"
