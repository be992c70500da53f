package history

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"

	"rollcall/internal/roster"
)

const (
	// retainAtOnce is how many stays one transaction deletes at most: questions and new
	// events wait for no more.
	retainAtOnce = 2000
	// pagesAtOnce is how many pages the file shrinks by at a time.
	pagesAtOnce = 1000
)

// retain deletes what is older than keep, then names that nothing refers to any more,
// and, while the file is larger than most bytes, what the machines with the most bytes
// have that is oldest. It does a part of that, and reports whether there is more to do.
func (w *writer) retain(keep time.Duration, most int64) (more bool, err error) {
	if err := exec(w.c, "begin immediate"); err != nil {
		return false, err
	}
	w.changed = endOfTime
	defer func() { err = w.end(err) }()
	steps := []func() (bool, error){
		func() (bool, error) { return w.expire(keep) },
		func() (bool, error) { return w.forget(most) },
		func() (bool, error) { return w.evict(most) },
	}
	for i := 0; i < len(steps) && err == nil && !more; i++ {
		more, err = steps[i]()
	}
	if err != nil {
		return false, err
	}
	if err := w.saveState(); err != nil {
		return more, err
	}
	return more, run(w.c, fmt.Sprintf("pragma incremental_vacuum(%d)", pagesAtOnce))
}

// forget deletes the names that nothing refers to, once much that did was deleted, or if
// the file is too large: no more is evicted as long as that may suffice.
func (w *writer) forget(most int64) (more bool, err error) {
	switch {
	case w.unused != nil:
		return w.unused.deleteSome()
	case w.state.Freed == 0 || len(w.evicting) > 0:
		return false, nil
	}
	size, err := w.size()
	//guard:true "before more stays are evicted, the names that only evicted ones had are deleted" TestEvictNames
	if err != nil || size <= most && w.state.Freed < max(w.forgetAt, w.state.Stays/10) {
		return false, err
	}
	return true, w.beginUnused()
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
		where e.class = c.class and e.since < ?1 and e.ended < ?1 limit 0 + ?2`, w.state.Kept, retainAtOnce)
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
	w.state.Freed += int64(len(list))
	return len(list), nil
}

// About how many bytes a row takes in the file, with its indexes, but without names.
const (
	stayBytes  = 110
	strayBytes = 40
	markBytes  = 20
)

// weight is about how many bytes of the file are a machine's.
type weight struct {
	machine, rows, window int64
	over                  int64       // of its rows, what is to be deleted
	through               roster.Time // what was over by then is deleted; never: that is not known yet
}

func (a weight) bytes() int64 { return a.rows + a.window }

// evict deletes, if the file is larger than most bytes, what is oldest of the machines
// with the most bytes: no machine can push out what others have told.
func (w *writer) evict(most int64) (more bool, err error) {
	if len(w.evicting) == 0 {
		size, err := w.size()
		if err != nil || size <= most {
			return false, err
		}
		if w.evicting, err = w.choose(float64(size-most*9/10) / float64(size)); err != nil || len(w.evicting) == 0 {
			return false, err
		}
	}
	e := &w.evicting[0]
	if e.over > 0 && e.through == never {
		if e.through, err = w.oldest(e); err != nil {
			return false, err
		}
	}
	if e.over > 0 {
		if more, err = w.deleteThrough(e.machine, e.through); err != nil || more {
			return more, err
		}
	}
	// Its window goes, too: it refers to the names.
	if e.window > 0 {
		e.through = endOfTime
	}
	if err := w.windows.prune(e.machine, min(e.through, endOfTime-1)+1); err != nil {
		return false, err
	}
	w.state.Freed++
	w.evicting = w.evicting[1:]
	return true, nil
}

// deleteThrough deletes some of what was over on a machine at a date, and reports whether
// there may be more.
func (w *writer) deleteThrough(machine int64, date roster.Time) (more bool, err error) {
	n, err := w.deleteEnded("select * from ("+endedFrom("select e.class, e.since, e.machine, e.n, e.user, e.ended", " and i.since <= ?3 and e.ended <= ?3")+") limit 0 + ?4",
		machine, -1, date, retainAtOnce)
	w.evicted += n
	if err != nil || n == retainAtOnce {
		return err == nil, err
	}
	for _, t := range []struct{ table, key string }{{"strays", "machine, date, session, user"}, {"marks", "machine, date, type"}} {
		if err := exec(w.c, fmt.Sprintf("delete from %s where (%s) in (select %[2]s from %[1]s where machine = +? and date <= ? limit 0 + ?)", t.table, t.key),
			machine, date, retainAtOnce); err != nil {
			return false, err
		}
		n := w.c.Changes()
		w.state.Freed += int64(n)
		if n == retainAtOnce {
			return true, nil
		}
	}
	return false, nil
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

// choose returns what to evict, so that the machines with the most bytes lose this share of
// all, down to one level.
func (w *writer) choose(share float64) ([]weight, error) {
	all, err := w.weights()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b weight) int { return cmp.Compare(b.bytes(), a.bytes()) })
	sum := int64(0)
	for i := range all {
		sum += all[i].bytes()
	}
	level, left, n := int64(0), int64(share*float64(sum))+1, int64(0)
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
		all[i].over = min(all[i].rows, over)
		if over <= all[i].rows {
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
			byID[id] = &weight{machine: id, through: never}
		}
		return byID[id]
	}
	for _, t := range []struct {
		rows  string
		bytes int64
	}{
		{"(select machine from by_machine0 union all select machine from by_machine1)", stayBytes},
		{"strays", strayBytes},
		{"marks", markBytes},
	} {
		err := each(w.c, func(q *query) { of(q.ColumnInt64(0)).rows += t.bytes * q.ColumnInt64(1) },
			"select machine, count(*) from "+t.rows+" group by machine")
		if err != nil {
			return nil, err
		}
	}
	err := each(w.c, func(q *query) { of(q.ColumnInt64(0)).window = q.ColumnInt64(1) },
		"select id >> 32, sum(length(events) + length(base)) from windows group by 1")
	list := make([]weight, 0, len(byID))
	for _, one := range byID {
		list = append(list, *one)
	}
	return list, err
}

// oldest returns a date by which as much was over on a machine as it is to lose, and
// records that its history is incomplete up to then. Of a stay of a class that lasts some hours at
// most it reads the index alone, and takes it to have lasted as long as it can: these are many. Of
// the others it reads when they ended.
func (w *writer) oldest(e *weight) (roster.Time, error) {
	const hour = roster.Time(time.Hour)
	newest, hours := never, map[roster.Time]int64{} // the bytes of what was over in each
	over := func(date roster.Time, bytes int64) { hours[min(date, newest)/hour] += bytes }
	date := func(bytes int64) func(*query) { return func(q *query) { over(q.time(0), bytes) } }
	// Of the class of this stay, all lasted less than five hours.
	const fewHours = 4 * hour
	for _, t := range []struct {
		show func(*query)
		rows string
	}{
		{func(q *query) { newest = q.time(0) }, "select newest from machines where id = ?"},
		{func(q *query) {
			span := spanOf(q.ColumnInt(1))
			over(min(q.time(0), endOfTime-span)+span, stayBytes)
		}, fmt.Sprintf("select since, class from (select * from by_machine0 union all select * from by_machine1) where machine = +? and class <= %d", classOf(fewHours))},
		{date(stayBytes), overLevels("select e.ended", "", byMachine, fmt.Sprintf("i.machine = +?1 and i.class > %d", classOf(fewHours)))},
		{date(strayBytes), "select date from strays where machine = ?"},
		{date(markBytes), "select date from marks where machine = ?"},
	} {
		if err := each(w.c, t.show, t.rows, e.machine); err != nil {
			return 0, err
		}
	}
	through, left := newest, e.over
	for _, h := range slices.Sorted(maps.Keys(hours)) {
		if left -= hours[h]; left <= 0 {
			through = min(through, (h+1)*hour-1)
			break
		}
	}
	w.changed = never
	return through, w.rows(e.machine).doubt(0, through+1, never, evicted)
}

// evicted is the reason of a gap where the history had no space.
const evicted = "evicted"
