package roster

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Restore reads a canonical encoding and returns the roster of it, to go on
// with the settings given from the position given. was are the settings that
// the encoding was made with: where a greater lateness is allowed now, events
// that the old one had refused stay refused, because what they would have to be
// compared with has been forgotten.
//
// The encoding may be any bytes: what is no roster is an error, and memory
// grows only with what was read.
func Restore(from io.Reader, now, was Settings, at Position) (*Roster, error) {
	r := New(now)
	d := decoder{r: r, in: bufio.NewReaderSize(from, 1<<16), floors: was.AllowedLateness < now.AllowedLateness, was: was}
	if err := d.roster(); err != nil {
		return nil, fmt.Errorf("restoring roster: %w", err)
	}
	if d.st.Position.Place != at.Place {
		return nil, fmt.Errorf("restoring roster: encoded at place %d, want %d", d.st.Position.Place, at.Place)
	}
	d.st.Position = at
	r.status = d.st
	return r, nil
}

// decoder reads a canonical encoding into a roster.
type decoder struct {
	r      *Roster
	st     Status
	in     *bufio.Reader
	floors bool
	was    Settings
	record bytes.Buffer
	counts [3]uint64 // machines, sessions, clearings
}

func (d *decoder) roster() error {
	if err := d.head(); err != nil {
		return fmt.Errorf("head: %w", err)
	}
	last := ""
	for {
		size, err := binary.ReadUvarint(d.in)
		if err != nil {
			return fmt.Errorf("machine after %q: %w", last, noEOF(err))
		}
		if size == 0 {
			return d.end()
		}
		d.record.Reset()
		if _, err := io.CopyN(&d.record, d.in, int64(min(size, 1<<40))); err != nil {
			return fmt.Errorf("machine after %q: %w", last, noEOF(err))
		}
		m, err := d.machine(last)
		if err != nil {
			return fmt.Errorf("machine after %q: %w", last, err)
		}
		last = m.name
	}
}

func (d *decoder) head() error {
	numbers := []*uint64{&d.st.Position.Place, &d.st.Fates[0], &d.st.Fates[1], &d.st.Fates[2], &d.st.Fates[3]}
	for _, n := range numbers {
		if err := d.number(n); err != nil {
			return err
		}
	}
	var nanos uint64
	seconds, err := binary.ReadVarint(d.in)
	if err != nil {
		return noEOF(err)
	}
	if err := d.number(&nanos); err != nil {
		return err
	}
	if d.st.Receipt, err = timeFrom(0, seconds, nanos); err != nil {
		return err
	}
	for i := range d.st.Losses {
		if err := d.number(&d.st.Losses[i]); err != nil {
			return err
		}
	}
	if d.st.Fates.Sum() != d.st.Position.Place {
		return fmt.Errorf("fates add up to %d, position is %d", d.st.Fates.Sum(), d.st.Position.Place)
	}
	return nil
}

func (d *decoder) number(n *uint64) (err error) {
	*n, err = binary.ReadUvarint(d.in)
	return noEOF(err)
}

func (d *decoder) end() error {
	for i, what := range []string{"machines", "sessions", "clearings"} {
		var n uint64
		if err := d.number(&n); err != nil {
			return fmt.Errorf("end: %w", err)
		}
		if n != d.counts[i] {
			return fmt.Errorf("end: %d %s, read %d", n, what, d.counts[i])
		}
	}
	switch _, err := d.in.ReadByte(); err {
	case io.EOF:
		return nil
	case nil:
		return errors.New("end: bytes after it")
	default:
		return fmt.Errorf("end: %w", err)
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// machine reads the record of a machine and adds it to the roster.
func (d *decoder) machine(last string) (*machine, error) {
	in := fields{b: d.record.Bytes()}
	m := &machine{name: in.text()}
	if in.err == nil && m.name <= last {
		return nil, fmt.Errorf("machine %q: not in order of name", m.name)
	}
	m.lock = d.r.lock(m.name)
	m.newest = in.time(0)
	m.heard = in.time(m.newest)
	m.floor = in.time(m.newest)
	m.reset = in.stamp(m.newest)
	d.sessions(m, &in)
	d.clearings(m, &in)
	if in.err == nil && len(in.b) > 0 {
		in.err = errors.New("bytes after the record")
	}
	if in.err != nil {
		return nil, fmt.Errorf("machine %q: %w", m.name, in.err)
	}
	if d.floors {
		m.floor = max(m.floor, m.newest.Add(-d.was.AllowedLateness))
	}
	d.add(m)
	return m, nil
}

// add puts a machine whose registers are complete into the roster.
func (d *decoder) add(m *machine) {
	for i := range m.sessions.rows {
		if s := &m.sessions.rows[i]; m.open(s) {
			d.r.people.opened(&d.st, s.user, m)
		}
	}
	m.ended = math.MinInt64 // unknown
	m.tidy(d.r, true)
	d.r.remembered += m.remembered()
	d.r.fleet.add(m)
	d.st.Machines++
	if last := d.st.Losses.last(); last > 0 && m.reset.Place <= last {
		d.st.Unsettled++
	}
	d.counts[0]++
}

func (d *decoder) sessions(m *machine, in *fields) {
	for n := in.uvarint(); n > 0 && in.err == nil; n-- {
		d.counts[1]++
		s := session{id: in.text()}
		name := in.text()
		s.stamp = in.stamp(m.newest)
		s.details = in.details(m.newest)
		if in.err != nil {
			return
		}
		if name != "" {
			s.user = d.r.people.hold(name)
		}
		if s.key() == (sessionKey{}) || m.sessions.find(s.key()) != nil {
			in.err = fmt.Errorf("session %q of user %q: no name, or twice", s.id, name)
			return
		}
		m.sessions.put(s)
	}
}

func (d *decoder) clearings(m *machine, in *fields) {
	for n := in.uvarint(); n > 0 && in.err == nil; n-- {
		d.counts[2]++
		name := in.text()
		stamp := in.stamp(m.newest)
		if in.err != nil {
			return
		}
		u := d.r.people.hold(name)
		if name == "" || m.cleared.find(u) != nil {
			in.err = fmt.Errorf("clearing of user %q: no name, or twice", name)
			return
		}
		m.cleared.put(clearing{u, stamp})
	}
}

// fields reads the fields of a record. After an error everything is zero.
type fields struct {
	b   []byte
	err error
}

func (f *fields) uvarint() uint64 {
	n, size := binary.Uvarint(f.b)
	return took(f, n, size)
}

func (f *fields) varint() int64 {
	n, size := binary.Varint(f.b)
	return took(f, n, size)
}

func took[N int64 | uint64](f *fields, n N, size int) N {
	if size <= 0 {
		f.fail(io.ErrUnexpectedEOF)
		return 0
	}
	f.b = f.b[size:]
	return n
}

func (f *fields) fail(err error) {
	f.b = nil
	if f.err == nil {
		f.err = err
	}
}

// text returns a copy of a string.
func (f *fields) text() string {
	n := f.uvarint()
	if n > uint64(len(f.b)) {
		f.fail(io.ErrUnexpectedEOF)
		return ""
	}
	s := string(f.b[:n])
	f.b = f.b[n:]
	return s
}

func (f *fields) time(from Time) Time {
	t, err := timeFrom(from, f.varint(), f.uvarint())
	if err != nil {
		f.fail(err)
	}
	return t
}

func (f *fields) stamp(newest Time) Stamp {
	return Stamp{f.time(newest), f.uvarint()}
}

func (f *fields) details(newest Time) *details {
	has := f.uvarint()
	if has == 0 {
		return nil
	}
	if has > allDetails {
		f.fail(fmt.Errorf("details %#x: unknown", has))
		return nil
	}
	d := new(details)
	if has&hasSince != 0 {
		d.since = f.time(newest)
	}
	for i, text := range d.texts() {
		if has&(hasTerminal<<i) != 0 {
			*text = f.text()
		}
	}
	return d
}

// timeFrom is the inverse of appendTime.
func timeFrom(from Time, seconds int64, nanos uint64) (Time, error) {
	const most = int64(MaxDate / second)
	s := int64(from/second) - seconds
	if seconds < -most || seconds > most || s < 0 || s > most || nanos >= second {
		return 0, fmt.Errorf("time %d s, %d ns: out of range", s, nanos)
	}
	return Time(s)*second + Time(nanos), nil
}
