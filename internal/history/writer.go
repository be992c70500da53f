package history

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"zombiezen.com/go/sqlite"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
)

// Accepted is an event that the fold accepted.
type Accepted struct {
	Place uint64
	roster.Event
}

// batch is what the fold said of a run of places.
type batch struct {
	end      roster.Position
	settings roster.Settings
	first    roster.Time // the receipt of its first message; 0: it has none
	receipt  roster.Time // the newest receipt
	events   []Accepted  // in the order of their places
	limited  []Accepted  // refused because of a limit of their machine
	// lost is why places were lost just before its first message, and the greatest of
	// them; none if empty.
	lost   string
	lostTo uint64
	// unread says that an unknown number of messages was lost with their stream.
	unread bool
	// again says that the batch was read again, and judged by another roster than the
	// fold's.
	again bool
}

// writer writes the history. It has the one connection that may.
type writer struct {
	c       *sqlite.Conn
	path    string
	mostWAL int64 // bytes
	// forgetAt: after this many rows were deleted, the names that nothing refers to any
	// more are looked for and deleted.
	forgetAt int64
	// withoutReaders waits until no question is being answered, and returns a function
	// that lets the next ones begin; nil: there are none.
	withoutReaders func() (resume func())
	names          *names
	windows        *windows
	machines       *cache[string, *machine]
	open           *cache[int64, packed] // the open stays of machines
	ended          *ended
	state          state
	// changed is the earliest moment that the transaction tells otherwise of than
	// the history did before.
	changed roster.Time
	// last is the last transaction that was completed.
	last transaction
	// differs says that the history may differ from the roster in who is on.
	differs bool
	// Of retain: it is deleting what is too old; the machines that have too much; how
	// many stays were evicted since the process began; the search for names that are not
	// used, nil: there is none.
	expiring bool
	evicting []weight
	evicted  int
	unused   *unused
}

// state is what the table meta has.
type state struct {
	Position roster.Position `json:"position"`
	// Kept is the date before which stays are not kept, or were never known; 0: all
	// are.
	Kept roster.Time `json:"kept"`
	// Began is the receipt of the first message, and Receipt the newest receipt.
	Began   roster.Time `json:"began"`
	Receipt roster.Time `json:"receipt"`
	// Loss is the place of the last loss that was not accepted; 0: none. Resumed is
	// the receipt of the first message after it; 0: none yet.
	Loss    uint64      `json:"loss"`
	Resumed roster.Time `json:"resumed"`
	// Lateness is the greatest lateness that was ever allowed, in nanoseconds.
	Lateness int64 `json:"lateness"`
	// Unbegun says that the stream has lost its beginning, and that no message was read
	// since.
	Unbegun bool `json:"unbegun"`
	// Transactions counts those of the file.
	Transactions uint64 `json:"transactions"`
	// Stays counts those that have ended.
	Stays int64 `json:"stays"`
	// Bound is how many bytes the file may have if nothing is configured, and Accepted
	// the place up to which losses are accepted.
	Bound    int64  `json:"bound"`
	Accepted uint64 `json:"accepted"`
	// Freed counts the rows that were deleted since the names that nothing refers to were.
	Freed int64 `json:"freed"`
	// Doubts says that single machines were in doubt, not all because of a loss.
	Doubts bool `json:"doubts"`
}

// maxOpen is how many bytes of open stays are remembered, and maxMachines, how many
// machines: twice these at most.
const (
	maxOpen     = 32 << 20
	maxMachines = 100_000
)

// newWriter returns the writer of an open database.
func newWriter(c *sqlite.Conn, path string) (*writer, error) {
	// The write-ahead log is beside the file that a symbolic link points to.
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	w := &writer{c: c, path: path, mostWAL: maxWAL, forgetAt: 100_000}
	return w, w.reload()
}

// reload reads everything that is held in memory: at the start, and after a
// transaction failed.
func (w *writer) reload() error {
	w.names = newNames(w.c, maxWritten)
	w.expiring, w.evicting, w.unused = false, nil, nil
	w.machines = newCache[string](maxMachines, func(*machine) int { return 1 })
	w.open = newCache[int64](maxOpen, packed.size)
	w.windows = &windows{c: w.c, names: w.names}
	w.state = state{}
	q, err := prepared(w.c, "select value from meta where name = 'state'")
	if err != nil {
		return err
	}
	for q.next() {
		if err := json.Unmarshal([]byte(q.ColumnText(0)), &w.state); err != nil {
			_ = q.Reset()
			return fmt.Errorf("state: %w", err)
		}
	}
	if q.err != nil {
		return q.err
	}
	if w.ended, err = openEnded(w.c); err != nil {
		return err
	}
	w.ended.count = w.state.Stays
	return w.windows.load()
}

// write writes batches in one transaction. If it fails, nothing was written.
func (w *writer) write(batches []*batch) (err error) {
	if err := exec(w.c, "begin immediate"); err != nil {
		return err
	}
	w.changed = endOfTime
	defer func() { err = w.end(err) }()
	for from := 0; from < len(batches); {
		// A loss concerns the machines as they are when it is noted.
		to := from + 1
		//guard:drop settings "an event is placed by the lateness that was allowed then" TestWriter
		for to < len(batches) && batches[to].lost == "" && batches[to].settings == batches[from].settings {
			to++
		}
		if err := w.run(batches[from:to]); err != nil {
			return err
		}
		from = to
	}
	failpoint.At("history-written")
	return w.saveState()
}

// end commits the transaction; after an error it undoes it.
func (w *writer) end(err error) error {
	if err == nil {
		err = exec(w.c, "commit")
	}
	if err == nil {
		failpoint.At("history-committed")
		return w.truncateWAL()
	}
	if !w.c.AutocommitEnabled() {
		if undone := exec(w.c, "rollback"); undone != nil {
			return errors.Join(err, undone)
		}
	}
	return errors.Join(err, w.reload())
}

// saveState writes where the history is, in the transaction of what brought it there.
func (w *writer) saveState() error {
	if err := w.ended.flush(); err != nil {
		return err
	}
	if err := w.windows.commit(w.state.Position.Place); err != nil {
		return err
	}
	w.state.Stays = w.ended.count
	w.state.Transactions++
	w.last = transaction{w.state.Transactions, w.ended.deltas}
	w.ended.deltas = nil
	text, err := json.Marshal(&w.state)
	if err != nil {
		return err
	}
	return exec(w.c, "insert or replace into meta (name, value) values ('state', ?)", string(text))
}

// run writes batches with the same settings, of which only the first has losses before it.
func (w *writer) run(batches []*batch) error {
	first, last := batches[0], batches[len(batches)-1]
	if first.lost != "" {
		if err := w.lose(first.lost, first.lostTo); err != nil {
			return err
		}
	}
	w.state.Unbegun = w.state.Unbegun || first.lost == roster.BaselineLost.String()
	byMachine := map[string][]Accepted{}
	for _, b := range batches {
		if w.state.Unbegun && b.first != 0 {
			w.state.Kept, w.state.Unbegun = max(w.state.Kept, b.first), false
		}
		if w.state.Loss != 0 && w.state.Resumed == 0 {
			w.state.Resumed = b.first
		}
		w.state.Began = cmp.Or(w.state.Began, b.first)
		w.state.Receipt = max(w.state.Receipt, b.receipt)
		for i := range b.events {
			byMachine[b.events[i].Machine] = append(byMachine[b.events[i].Machine], b.events[i])
		}
	}
	// In the order of their numbers, which is that of their rows.
	type numbered struct {
		id   int64
		name string
	}
	order := make([]numbered, 0, len(byMachine))
	for name := range byMachine {
		m, err := w.find(name)
		if err != nil {
			return err
		}
		order = append(order, numbered{m.id, name})
	}
	slices.SortFunc(order, func(a, b numbered) int { return cmp.Or(cmp.Compare(a.id, b.id), cmp.Compare(a.name, b.name)) })
	w.state.Position = last.end
	for _, m := range order {
		if err := w.machine(m.name, byMachine[m.name], last.settings, last.again); err != nil {
			return fmt.Errorf("machine: %w", err)
		}
	}
	for _, b := range batches {
		if err := w.limit(b.limited); err != nil {
			return err
		}
	}
	return w.move(last.settings)
}

// find returns a machine by its name.
func (w *writer) find(name string) (*machine, error) {
	if m, ok := w.machines.get(name); ok {
		return m, nil
	}
	m, err := loadMachine(w.c, name)
	if err == nil {
		w.machines.put(name, m)
	}
	return m, err
}

// machine writes a machine's events, given in the order of their places.
func (w *writer) machine(name string, accepted []Accepted, settings roster.Settings, again bool) error {
	m, err := w.find(name)
	if err != nil {
		return err
	}
	isNew := m.id == 0
	accepted, late := m.splitLate(accepted, settings.AllowedLateness)
	if len(accepted) == 0 {
		return w.lateFor(m, late, again, settings.MaxSkew)
	}
	events := eventsOf(accepted)
	slices.SortStableFunc(events, compareDates)
	before := *m
	m.learn(events)
	if m.newest > before.newest && !isNew {
		// Until then it was not in the fleet.
		w.rows(m.id).change(before.newest.Add(settings.AllowedLateness))
	}
	if err := m.save(w.c, name); err != nil {
		return err
	}
	if err := w.lateFor(m, late, again, settings.MaxSkew); err != nil {
		return err
	}
	r := w.rows(m.id)
	//guard:set r.insertMarks(events) error(nil) "each boot and shutdown is a mark" TestWriter
	if err := r.insertMarks(events); err != nil {
		return err
	}
	if err := w.recordDoubts(r, isNew, accepted, settings); err != nil {
		return err
	}
	if before.newest != never && events[0].Date < before.newest {
		return w.remake(r, events, settings.MaxSkew)
	}
	if err := r.extend(events, before.reset); err != nil {
		return err
	}
	return w.windows.add(m.id, events)
}

// learn updates what the machine's own row has, by more events in order of their dates.
func (m *machine) learn(events []roster.Event) {
	m.newest = max(m.newest, events[len(events)-1].Date)
	if told := earliest(events); m.first == never || told < m.first {
		m.first = told
	}
	for i := range events {
		if t := events[i].Type; t != roster.Login && t != roster.Logout {
			m.reset = max(m.reset, events[i].Date)
		}
	}
}

// extend writes the stays that events begin and end, none of which is dated before those
// written so far. reset is the machine's before them.
func (r *rows) extend(events []roster.Event, reset roster.Time) error {
	open, err := r.open()
	if err != nil {
		return err
	}
	doubts, err := r.doubts()
	if err != nil {
		return err
	}
	r.change(earliest(events))
	f := (&fold{open: open, reset: reset}).clone()
	f.begin(doubts, r.offBefore(endOfTime))
	if err := f.apply(events); err != nil {
		return err
	}
	for i := range f.ended {
		if err := r.insert(&f.ended[i]); err != nil {
			return err
		}
	}
	if err := r.insertStrays(f.strays); err != nil {
		return err
	}
	_, err = r.replaceOpen(open, f.open)
	return err
}

// splitLate separates the events that are too late for the history: it has folded for
// good what they would have to be compared with.
func (m *machine) splitLate(accepted []Accepted, lateness time.Duration) (events, late []Accepted) {
	newest := m.newest
	for _, e := range accepted {
		if newest != never && e.Date < newest.Add(-lateness) {
			late = append(late, e)
			continue
		}
		newest = max(newest, e.Date)
		events = append(events, e)
	}
	return events, late
}

// lateFor records that the fold accepted events of a machine that are too late for the
// history: the fold had lost the machine's newest date, or was to judge events less
// strictly than before. What was read again, and judged by a roster that may not know
// that date either, was refused by the fold.
func (w *writer) lateFor(m *machine, late []Accepted, again bool, skew time.Duration) error {
	if len(late) == 0 || again {
		return nil
	}
	from := endOfTime
	for i := range late {
		from = min(from, late[i].Date)
	}
	r := w.rows(m.id)
	//guard:set r.insertMarks(eventsOf(late)) error(nil) "a boot is a mark, however late" TestLateForTheHistory
	if err := r.insertMarks(eventsOf(late)); err != nil {
		return err
	}
	return w.unplaced(r, from, skew)
}

// eventsOf returns the events themselves.
func eventsOf(accepted []Accepted) []roster.Event {
	events := make([]roster.Event, len(accepted))
	for i := range accepted {
		events[i] = accepted[i].Event
	}
	return events
}

// unplaced records that events from a date on were accepted that can't be placed in the
// history: it may differ from the roster now in who is on.
func (w *writer) unplaced(r *rows, from roster.Time, skew time.Duration) error {
	w.state.Doubts, w.differs = true, true
	r.change(from)
	return r.doubt(from, never, w.state.Receipt.Add(skew), differed)
}

// rows returns the stays of a machine.
func (w *writer) rows(machine int64) *rows {
	return &rows{c: w.c, names: w.names, machine: machine, known: w.open, ended: w.ended, changed: &w.changed}
}
