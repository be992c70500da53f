package history

import (
	"cmp"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"

	"rollcall/internal/roster"
)

// The events of a machine, as they stand in the database: runs, each in the order of
// arrival. All numbers are varints as in [encoding/binary]; a name is its number in
// the database, an ID is its length and its bytes.
//
//	run       number of events; unit; the date of the first, zigzag; events
//	unit      0 to 9: all dates of the run are multiples of that power of ten, and given
//	          in that
//	event     type; date minus that of the event before, zigzag; what follows by type
//	login     entry
//	logout    entry
//	present   number of entries; each, with since: date minus since, plus 1, zigzag;
//	          0: none given
//	again     a present with the entries of the present before it in the run; its date
//	          is given as that of a regular repetition would be: minus that of the
//	          present before, minus the same difference of that one
//	entry     user, ID, details
//
// The base of a window is: reset, 0 if never, else its date plus 1; number of open
// stays; each: entry, since, began, reset.

// again is the type of a present that lists the same as the one before.
const again = 0

// errCorrupt says that the database has what this program does not write.
var errCorrupt = errors.New("the history is damaged")

// encoder appends numbers and names.
type encoder struct {
	b     []byte
	names *names
	err   error
}

func (e *encoder) uint(n uint64) { e.b = binary.AppendUvarint(e.b, n) }
func (e *encoder) int(n int64)   { e.b = binary.AppendVarint(e.b, n) }

// date encodes a date that may be never.
func (e *encoder) date(t roster.Time) {
	if t == never {
		e.uint(0)
		return
	}
	e.uint(uint64(t) + 1)
}

func (e *encoder) entry(s *roster.Session) {
	user, err := e.names.userNumber(s.User)
	if err != nil {
		e.err = err
	}
	detail, err := e.names.detailNumber(detailsOf(s))
	if err != nil {
		e.err = err
	}
	e.uint(uint64(user))
	e.uint(uint64(len(s.ID)))
	e.b = append(e.b, s.ID...)
	e.uint(uint64(detail))
}

// dates are the dates of a run of events.
type dates struct {
	unit    roster.Time
	last    roster.Time // in units, as all that follows
	present roster.Time // the last present
	step    roster.Time // from the present before that
}

// units are the units of dates.
var units = [...]roster.Time{1, 10, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9}

// unitOf returns the number of the greatest unit of the dates of events.
func unitOf(events []roster.Event) int {
	n := len(units) - 1
	for i := range events {
		for events[i].Date%units[n] != 0 {
			n--
		}
	}
	return n
}

// told notes the date of an event.
func (d *dates) told(date roster.Time, t roster.Type) {
	d.last = date
	if t == roster.Present {
		d.step, d.present = date-d.present, date
	}
}

// events appends a run of events.
func (e *encoder) events(events []roster.Event) {
	if len(events) == 0 {
		return
	}
	unit := unitOf(events)
	e.uint(uint64(len(events)))
	e.uint(uint64(unit))
	d := dates{unit: units[unit], last: events[0].Date / units[unit]}
	d.present = d.last
	e.int(int64(d.last))
	var listed *roster.Event
	for i := range events {
		ev := &events[i]
		date := ev.Date / d.unit
		if ev.Type == roster.Present && listed != nil && slices.Equal(listed.Sessions, ev.Sessions) {
			e.uint(again)
			e.int(int64(date - d.present - d.step))
		} else {
			e.uint(uint64(ev.Type))
			e.int(int64(date - d.last))
			e.told(ev)
		}
		d.told(date, ev.Type)
		if ev.Type == roster.Present {
			listed = ev
		}
	}
}

// told appends what an event says.
func (e *encoder) told(ev *roster.Event) {
	switch ev.Type {
	case roster.Login, roster.Logout:
		e.entry(&ev.Session)
	case roster.Present:
		e.present(ev)
	}
}

func (e *encoder) present(ev *roster.Event) {
	e.uint(uint64(len(ev.Sessions)))
	for i := range ev.Sessions {
		s := &ev.Sessions[i]
		e.entry(s)
		if s.Since == 0 {
			e.int(0)
			continue
		}
		// Since is from MinDate to MaxDate, so the difference has one to spare.
		d := int64(ev.Date - s.Since)
		if d >= 0 {
			d++
		}
		e.int(d)
	}
}

func (e *encoder) base(f *fold) {
	e.date(f.reset)
	e.uint(uint64(len(f.open)))
	for _, s := range slices.SortedFunc(maps.Values(f.open), byKey) {
		e.entry(&s.Session)
		e.date(s.Since)
		e.date(s.began)
		e.date(s.reset)
	}
}

// byKey orders stays by their keys.
func byKey(a, b *openStay) int {
	return cmp.Or(strings.Compare(a.ID, b.ID), strings.Compare(a.User, b.User))
}

// decoder reads what an encoder wrote.
type decoder struct {
	b     []byte
	names *names
	// used, if it is set, is called with the numbers of each entry, whose names are then
	// not looked up.
	used func(user, detail int64)
	err  error
}

func (d *decoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
	d.b = nil
}

func (d *decoder) uint() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.fail(errCorrupt)
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) int() int64 {
	n, size := binary.Varint(d.b)
	if size <= 0 {
		d.fail(errCorrupt)
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) date() roster.Time {
	if n := d.uint(); n > 0 {
		return roster.Time(n - 1)
	}
	return never
}

// count reads how many of something follow, each at least of one byte.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail(errCorrupt)
		return 0
	}
	return int(n)
}

func (d *decoder) entry() (s roster.Session) {
	user := d.uint()
	n := d.count()
	s.ID = string(d.b[:n])
	d.b = d.b[n:]
	detail := d.uint()
	if d.err != nil {
		return s
	}
	if d.used != nil {
		d.used(int64(user), int64(detail))
		return s
	}
	var err error
	if s.User, err = d.names.userName(int64(user)); err == nil {
		err = d.names.fill(&s, int64(detail))
	}
	if err != nil {
		d.fail(err)
	}
	return s
}

// events reads all runs.
func (d *decoder) events() (events []roster.Event) {
	for len(d.b) > 0 {
		n, unit := d.count(), d.uint()
		if unit >= uint64(len(units)) {
			d.fail(errCorrupt)
			return nil
		}
		run := dates{unit: units[unit], last: roster.Time(d.int())}
		run.present = run.last
		var listed []roster.Session
		for range n {
			e := d.event(&run, listed)
			if d.err != nil {
				return nil
			}
			if e.Type == roster.Present {
				listed = e.Sessions
			}
			events = append(events, e)
		}
	}
	return events
}

// event reads an event; listed are the entries of the last present.
func (d *decoder) event(run *dates, listed []roster.Session) (e roster.Event) {
	kind, difference := roster.Type(d.uint()), roster.Time(d.int())
	date := run.last + difference
	e.Type = kind
	if kind == again {
		date, e.Type = run.present+run.step+difference, roster.Present
	}
	e.Date = date * run.unit
	switch kind {
	case roster.Login, roster.Logout:
		e.Session = d.entry()
	case roster.Present:
		e.Sessions = d.present(e.Date)
	case again:
		e.Sessions = listed
	case roster.Boot, roster.Shutdown:
	default:
		d.fail(errCorrupt)
	}
	run.told(date, e.Type)
	return e
}

func (d *decoder) present(date roster.Time) []roster.Session {
	n := d.count()
	sessions := make([]roster.Session, 0, n)
	for range n {
		s := d.entry()
		switch since := d.int(); {
		case since > 0:
			s.Since = date - roster.Time(since-1)
		case since < 0:
			s.Since = date - roster.Time(since)
		}
		sessions = append(sessions, s)
	}
	return sessions
}

func (d *decoder) base() *fold {
	f := newFold()
	f.reset = d.date()
	for range d.count() {
		s := &openStay{Session: d.entry()}
		s.Since, s.began, s.reset = d.date(), d.date(), d.date()
		f.open[KeyOf(&s.Session)] = s
	}
	return f
}
