package history

import (
	"slices"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// windows has the events of each machine that a late one may still come before.
//
// New events are appended to the table recent, a row a transaction, and held in
// memory, encoded. When there are many, they are moved to the windows of their
// machines, each of which is one row: so that a window is rewritten for many events,
// not for each.
type windows struct {
	c      *sqlite.Conn
	names  *names
	recent map[int64][]byte // by machine: runs of events
	bytes  int              // of recent
	added  []byte           // of this transaction: machine, length, run
}

// maxRecent is how many bytes of events are recent.
const maxRecent = 8 << 20

// window is what one machine's row has.
type window struct {
	settled roster.Time
	base    *fold
	events  []roster.Event // in the order of their stamps
}

// load reads the recent events.
func (w *windows) load() error {
	w.recent, w.bytes, w.added = map[int64][]byte{}, 0, nil
	through := map[int64]uint64{}
	q, err := prepared(w.c, "select machine, through from windows where through > (select min(place) from recent)")
	if err != nil {
		return err
	}
	for q.next() {
		through[q.ColumnInt64(0)] = uint64(q.ColumnInt64(1))
	}
	if q.err != nil {
		return q.err
	}
	if q, err = prepared(w.c, "select place, events from recent order by place"); err != nil {
		return err
	}
	for q.next() {
		place := uint64(q.ColumnInt64(0))
		d := decoder{b: q.bytes(1)}
		for len(d.b) > 0 {
			id, n := int64(d.uint()), d.count()
			if d.err != nil {
				_ = q.Reset()
				return d.err
			}
			if through[id] < place {
				w.recent[id] = append(w.recent[id], d.b[:n]...)
				w.bytes += n
			}
			d.b = d.b[n:]
		}
	}
	return q.err
}

// add adds a machine's events, which are later than those before.
func (w *windows) add(machine int64, events []roster.Event) error {
	e := encoder{names: w.names}
	e.events(events)
	w.recent[machine] = append(w.recent[machine], e.b...)
	w.bytes += len(e.b)
	head := encoder{b: w.added}
	head.uint(uint64(machine))
	head.uint(uint64(len(e.b)))
	w.added = append(head.b, e.b...)
	return e.err
}

// commit writes the events added, before a transaction ends at a place.
func (w *windows) commit(place uint64) error {
	if len(w.added) == 0 {
		return nil
	}
	err := exec(w.c, "insert into recent (place, events) values (?, ?)", place, w.added)
	w.added = w.added[:0]
	return err
}

// read reads the whole window of a machine.
func (w *windows) read(machine int64) (*window, error) {
	q, err := prepared(w.c, "select settled, base, events from windows where machine = ?", machine)
	if err != nil {
		return nil, err
	}
	win := &window{settled: never, base: newFold()}
	var base, events []byte
	for q.next() {
		win.settled, base, events = q.time(0), q.bytes(1), q.bytes(2)
	}
	if q.err != nil {
		return nil, q.err
	}
	if len(base) > 0 {
		d := decoder{b: base, names: w.names}
		if win.base = d.base(); d.err != nil {
			return nil, d.err
		}
	}
	d := decoder{b: append(events, w.recent[machine]...), names: w.names}
	win.events = d.events()
	slices.SortStableFunc(win.events, compareDates)
	return win, d.err
}

// write writes the whole window of a machine, with all of its recent events, at a
// place.
func (w *windows) write(machine int64, win *window, place uint64) error {
	base, events := encoder{names: w.names}, encoder{names: w.names}
	base.base(win.base)
	events.events(win.events)
	for _, err := range []error{base.err, events.err} {
		if err != nil {
			return err
		}
	}
	if err := exec(w.c, "insert or replace into windows (machine, settled, through, base, events) values (?, ?, ?, ?, ?)",
		machine, win.settled, place, base.b, events.b); err != nil {
		return err
	}
	w.bytes -= len(w.recent[machine])
	delete(w.recent, machine)
	return nil
}

// settle folds the events dated before a date for good.
func (win *window) settle(before roster.Time, doubts []roster.Time, r *rows) error {
	if before <= win.settled {
		return nil
	}
	n, _ := slices.BinarySearchFunc(win.events, before, func(e roster.Event, d roster.Time) int {
		if e.Date < d {
			return -1
		}
		return 1
	})
	win.base.begin(doubts, r.offBefore(win.settled))
	if err := win.base.apply(win.events[:n]); err != nil {
		return err
	}
	win.events = win.events[n:]
	win.settled = before
	return nil
}

// offBefore returns a fold's earlier for what ended before a window began.
func (r *rows) offBefore(settled roster.Time) func(Key, string, roster.Time) (roster.Time, error) {
	if settled == never {
		return nil
	}
	return func(k Key, user string, after roster.Time) (roster.Time, error) {
		return r.lastOff(k, user, after, settled)
	}
}
