package history

import (
	"cmp"
	"slices"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// windows has the events of each machine that a late one may still come before.
//
// New events are appended to the table recent, a row a transaction, and held in
// memory, encoded. When there are many, they are moved to the windows of their
// machines, some machines in each transaction. A window is a sequence of chunks, each
// the events of a span of time and who was on before them: so a late event is placed
// without reading the machine's whole window, and the oldest events are forgotten by
// deleting rows.
type windows struct {
	c      *sqlite.Conn
	names  *names
	recent map[int64][]byte // by machine: runs of events
	bytes  int              // of recent
	added  []byte           // of this transaction: machine, length, run
	most   int              // how many bytes of events a chunk gets before another is begun

	// moving are the machines whose events are still to be moved of those up to a
	// place; each transaction moves a share of them.
	moving  []int64
	through uint64
	share   int
	named   int // the bytes of names that had been added when it began
}

const (
	// maxRecent is how many bytes of events, and of names that are new with them, are
	// recent before they are moved.
	maxRecent = 32 << 20
	// maxChunk is how many bytes of events a chunk gets: it fits in a page.
	maxChunk = 1500
)

// chunk is a row of the table: the events dated from start until the start of the next.
type chunk struct {
	id      int64 // the machine and, in the lower half, a number
	start   roster.Time
	base    *fold          // who was on before
	events  []roster.Event // in the order of their stamps
	bytes   int            // about how many the events take
	changed bool
}

// window is the chunks of a machine from one on, in order.
type window struct {
	machine int64
	chunks  []chunk
}

// settled is the date before which nothing can be placed in the window.
func (w *window) settled() roster.Time { return w.chunks[0].start }

// chunksOf returns the first and the last id that a chunk of a machine may have.
func chunksOf(machine int64) (first, last int64) { return machine << 32, machine<<32 | (1<<32 - 1) }

// load reads the recent events.
func (w *windows) load() error {
	w.recent, w.bytes, w.added, w.moving, w.most = map[int64][]byte{}, 0, nil, nil, maxChunk
	q, err := prepared(w.c, "select place, events from recent order by place")
	if err != nil {
		return err
	}
	through := map[int64]uint64{}
	for q.next() {
		if err := w.loadRow(uint64(q.ColumnInt64(0)), q.bytes(1), through); err != nil {
			_ = q.Reset()
			return err
		}
	}
	return q.err
}

// loadRow reads a row of recent; through has the places up to which the windows of
// machines have their events.
func (w *windows) loadRow(place uint64, row []byte, through map[int64]uint64) error {
	return eachRun(row, func(id int64, run []byte) error {
		if _, ok := through[id]; !ok {
			p, err := w.lastPlace(id)
			if err != nil {
				return err
			}
			through[id] = p
		}
		if through[id] < place {
			w.recent[id] = append(w.recent[id], run...)
			w.bytes += len(run)
		}
		return nil
	})
}

// eachRun calls show with each machine and its run of events in a row of recent.
func eachRun(row []byte, show func(machine int64, run []byte) error) error {
	d := decoder{b: row}
	for len(d.b) > 0 {
		machine, n := int64(d.uint()), d.count()
		if d.err != nil {
			return d.err
		}
		if err := show(machine, d.b[:n]); err != nil {
			return err
		}
		d.b = d.b[n:]
	}
	return nil
}

// lastPlace returns the place up to which a machine's window has its events.
func (w *windows) lastPlace(machine int64) (uint64, error) {
	first, last := chunksOf(machine)
	q, err := prepared(w.c, "select through from windows where id between ? and ? order by id desc limit 1", first, last)
	if err != nil {
		return 0, err
	}
	place := uint64(0)
	for q.next() {
		place = uint64(q.ColumnInt64(0))
	}
	return place, q.err
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

// read reads the window of a machine from the chunk of a date on, with its recent
// events.
func (w *windows) read(machine int64, date roster.Time) (*window, error) {
	win := &window{machine: machine}
	first, last := chunksOf(machine)
	q, err := prepared(w.c, `select id, start, base, events from windows where id between ?2 and ?3
		and id >= ifnull((select id from windows where id between ?2 and ?3 and start <= ?1 order by id desc limit 1), ?2) order by id`,
		max(date, 0), first, last)
	if err != nil {
		return nil, err
	}
	for q.next() {
		c, err := w.decode(q)
		if err != nil {
			_ = q.Reset()
			return nil, err
		}
		win.chunks = append(win.chunks, c)
	}
	if q.err != nil {
		return nil, q.err
	}
	if len(win.chunks) == 0 {
		win.chunks = []chunk{{id: first, base: newFold()}}
	}
	recent := w.recent[machine]
	win.chunks[len(win.chunks)-1].bytes += len(recent)
	d := decoder{b: recent, names: w.names}
	win.place(d.events())
	return win, d.err
}

// decode reads a chunk from its row.
func (w *windows) decode(q *query) (chunk, error) {
	base, events := decoder{b: q.bytes(2), names: w.names}, decoder{b: q.bytes(3), names: w.names}
	c := chunk{id: q.ColumnInt64(0), start: q.time(1), bytes: len(events.b), base: base.base()}
	c.events = events.events()
	return c, cmp.Or(base.err, events.err)
}

// place adds events, given in the order of their places and later than those that the
// window has, to the chunks of their dates.
func (w *window) place(events []roster.Event) {
	for i := range events {
		n := len(w.chunks) - 1
		for n > 0 && events[i].Date < w.chunks[n].start {
			n--
		}
		w.chunks[n].events = append(w.chunks[n].events, events[i])
		w.chunks[n].changed = true
	}
	for i := range w.chunks {
		if w.chunks[i].changed {
			slices.SortStableFunc(w.chunks[i].events, compareDates)
		}
	}
}

// split divides the chunks that have become too large, and reports whether there were
// any. Who was on before each is then to be found by folding the window.
func (w *window) split(most int) (divided bool) {
	for i := 0; i < len(w.chunks); i++ {
		c := w.chunks[i]
		n := len(c.events) / max(c.bytes/most, 1)
		for n < len(c.events) && n > 0 && c.events[n].Date == c.events[n-1].Date {
			n++
		}
		if c.bytes <= 2*most || n == 0 || n == len(c.events) {
			continue
		}
		size := c.bytes * n / len(c.events)
		w.chunks = slices.Insert(w.chunks, i+1, chunk{start: c.events[n].Date, events: c.events[n:], bytes: c.bytes - size, base: newFold()})
		w.chunks[i].events, w.chunks[i].bytes = slices.Clip(c.events[:n]), size
		for j := i; j < len(w.chunks); j++ {
			w.chunks[j].id, w.chunks[j].changed = w.chunks[0].id+int64(j), true
		}
		divided = true
	}
	return divided
}

// fold folds the events of the window, and writes down in each chunk who was on before.
func (w *window) fold(f *fold) error {
	for i := range w.chunks {
		c := &w.chunks[i]
		//guard:false "a chunk knows who was on before" TestWriter
		if i > 0 && !c.base.same(f) {
			c.base, c.changed = f.clone(), true
		}
		if err := f.apply(c.events); err != nil {
			return err
		}
	}
	return nil
}

// write writes what has changed of a window, which has all events up to a place.
func (w *windows) write(win *window, place uint64) error {
	win.chunks[len(win.chunks)-1].changed = true
	for i := range win.chunks {
		if c := &win.chunks[i]; c.changed {
			if err := w.writeChunk(c, place); err != nil {
				return err
			}
		}
	}
	w.forget(win.machine)
	return nil
}

// forget forgets a machine's recent events.
func (w *windows) forget(machine int64) {
	w.bytes -= len(w.recent[machine])
	delete(w.recent, machine)
}

func (w *windows) writeChunk(c *chunk, place uint64) error {
	base, events := encoder{names: w.names}, encoder{names: w.names}
	base.base(c.base)
	events.events(c.events)
	c.bytes = len(events.b)
	if err := cmp.Or(base.err, events.err); err != nil {
		return err
	}
	return exec(w.c, "insert or replace into windows (id, start, through, base, events) values (?, ?, ?, ?, ?)",
		c.id, c.start, place, base.b, events.b)
}

// begin begins a machine's window anew at a date, at which a fold says who is on.
func (w *windows) begin(machine int64, start roster.Time, base *fold, place uint64) error {
	first, last := chunksOf(machine)
	if err := exec(w.c, "delete from windows where id between ? and ?", first, last); err != nil {
		return err
	}
	return w.write(&window{machine, []chunk{{id: first, start: start, base: base}}}, place)
}

// last reads the last chunk of a machine's window.
func (w *windows) last(machine int64) (*window, error) { return w.read(machine, endOfTime) }

// prune deletes the chunks that only have events dated before a date.
func (w *windows) prune(machine int64, before roster.Time) error {
	first, last := chunksOf(machine)
	return exec(w.c, `delete from windows where id between ?2 and ?3 and id <
		(select id from windows where id between ?2 and ?3 and start <= ?1 order by id desc limit 1)`, before, first, last)
}

// same reports whether two folds have the same open stays.
func (f *fold) same(o *fold) bool {
	if f.reset != o.reset || len(f.open) != len(o.open) {
		return false
	}
	for k, s := range f.open {
		if is := o.open[k]; is == nil || *is != *s {
			return false
		}
	}
	return true
}

// offBefore returns a fold's earlier for what ended before a window began.
func (r *rows) offBefore(settled roster.Time) func(Key, string, roster.Time) (roster.Time, error) {
	if settled <= 0 {
		return nil
	}
	return func(k Key, user string, after roster.Time) (roster.Time, error) {
		return r.lastOff(k, user, after, settled)
	}
}
