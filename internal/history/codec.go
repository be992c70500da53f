package history

import (
	"encoding/binary"
	"errors"
	"slices"

	"rollcall/internal/roster"
)

// The events of a machine, as they stand in the database: runs, each in the order of
// arrival. All numbers are varints as in [encoding/binary]; a name is its number in
// the database, an ID is its length and its bytes.
//
//	run       number of events; the date of the first; events
//	event     type; date minus that of the event before, zigzag; what follows by type
//	login     entry
//	logout    entry
//	present   number of entries; each, with since: date minus since, plus 1, zigzag;
//	          0: none given
//	again     a present with the entries of the present before it in the run
//	entry     user, ID, details
//
// The base of a window is: reset, 0 if never, else its date plus 1; number of open
// stays; each: entry, since, began, reset.

// again is the type of a present that lists the same as the one before.
const again = 0

// errCorrupt says that the bytes in the database are none that this program wrote.
var errCorrupt = errors.New("damaged events")

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

// events appends a run of events.
func (e *encoder) events(events []roster.Event) {
	if len(events) == 0 {
		return
	}
	e.uint(uint64(len(events)))
	last := events[0].Date
	e.int(int64(last))
	var listed *roster.Event
	for i := range events {
		ev := &events[i]
		kind := uint64(ev.Type)
		if ev.Type == roster.Present && listed != nil && sameSessions(listed.Sessions, ev.Sessions) {
			kind = again
		}
		e.uint(kind)
		e.int(int64(ev.Date - last))
		last = ev.Date
		switch kind {
		case uint64(roster.Login), uint64(roster.Logout):
			e.entry(&ev.Session)
		case uint64(roster.Present):
			e.present(ev)
		}
		if ev.Type == roster.Present {
			listed = ev
		}
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

// sameSessions reports whether two presents list the same.
func sameSessions(a, b []roster.Session) bool {
	return slices.Equal(a, b)
}

func (e *encoder) base(f *fold) {
	e.date(f.reset)
	e.uint(uint64(len(f.open)))
	for _, s := range f.open {
		e.entry(&s.Session)
		e.date(s.Since)
		e.date(s.began)
		e.date(s.reset)
	}
}

// decoder reads what an encoder wrote.
type decoder struct {
	b     []byte
	names *names
	err   error
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
		n := d.count()
		last := roster.Time(d.int())
		var listed []roster.Session
		for range n {
			e := roster.Event{Type: roster.Type(d.uint())}
			last += roster.Time(d.int())
			e.Date = last
			switch e.Type {
			case roster.Login, roster.Logout:
				e.Session = d.entry()
			case roster.Present:
				e.Sessions = d.present(e.Date)
				listed = e.Sessions
			case again:
				e.Type, e.Sessions = roster.Present, listed
			case roster.Boot, roster.Shutdown:
			default:
				d.fail(errCorrupt)
			}
			if d.err != nil {
				return nil
			}
			events = append(events, e)
		}
	}
	return events
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
