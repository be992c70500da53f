package roster

import (
	"cmp"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"time"
)

// Encoding is the roster's canonical encoding at one cut. Two rosters that read
// the same messages with the same settings have the same bytes, whichever expired
// registers either has already dropped. All numbers are varints as in
// [encoding/binary]. A string is its length and its bytes. A time is the difference
// in whole seconds to the newest date of its machine (to 0 where there is none),
// zigzag, then its nanoseconds. A stamp is its date and its place.
//
//	head      place, the fates in their order, receipt, the losses in their order,
//	          the receipt read first after the last loss (0: none), the fleet's floor,
//	          the missing events of machines that are not in the roster,
//	          the number of sources; each: name, missing, place of the last gap, place of
//	          the last new creation, receipt of the later of these;
//	          the number of creations; each: its source's index, id, sequence, places lost
//	          when it was read
//	machine*  its length in bytes, and in order of name:
//	          name, newest (from 0), heard, bits of what follows: 1 floor,
//	          2 reset, 4 refused, 8 every, 16 numbers, 32 changed, 64 through; floor and changed are
//	          times, reset and refused are stamps, every is in nanoseconds; through is a number; numbers are
//	          the missing events of former origins, and the number of origins, each:
//	              name, newest, highest, number of missing events in older gaps,
//	              reused, number of gaps; each gap: its first number minus the last of
//	              the gap before, its last number minus its first
//	          number of sessions; each, in order of id, then user:
//	              id ("" implicit), user ("" nobody), stamp, bits of what
//	              follows: 1 since, 2 terminal, 4 remote, 8 service
//	          number of clearings; each, in order of user: user, stamp
//	end       0, and the numbers of machines, sessions and clearings
//
// The floor is omitted unless it is later than newest minus the allowed lateness;
// refused is omitted if it is below reset. In version 1 of the encoding the
// head ends after the losses, and every machine has a floor and a reset, without
// bits before them. Version 2 has no every, no numbers, and no missing events in the head;
// version 3 has no changed; version 4 has no sources, no through, and two losses less.
type Encoding struct {
	cut *Cut
	rec recorder
}

// EncodingVersion is the version of the encoding that Encode writes, and the
// newest that Restore reads.
const EncodingVersion = 5

// Encode begins the canonical encoding of the roster as it is now. Close it
// when done.
func (r *Roster) Encode() *Encoding {
	return &Encoding{r.Cut(), recorder{people: &r.people, lateness: r.settings.AllowedLateness}}
}

// Status is the status at the cut.
func (e *Encoding) Status() Status { return e.cut.Status }

// Close ends the encoding. It may be called more than once.
func (e *Encoding) Close() { e.cut.Close() }

// WriteTo writes the encoding. It can be called once.
func (e *Encoding) WriteTo(w io.Writer) (int64, error) {
	out := counting{w: w}
	out.write(encodeHead(e.cut.Status))
	var total [3]uint64
	var length, record []byte
	for v := range e.cut.All() {
		record = e.rec.append(record[:0], v.m)
		total[0]++
		total[1] += uint64(len(e.rec.sessions))
		total[2] += uint64(len(e.rec.cleared))
		length = binary.AppendUvarint(length[:0], uint64(len(record)))
		out.write(length)
		out.write(record)
		if out.err != nil {
			break
		}
	}
	end := []byte{0}
	for _, n := range total {
		end = binary.AppendUvarint(end, n)
	}
	out.write(end)
	return out.n, out.err
}

type counting struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counting) write(b []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(b)
	c.n, c.err = c.n+int64(n), err
}

func encodeHead(st Status) []byte {
	b := binary.AppendUvarint(nil, st.Position.Place)
	for _, n := range st.Fates {
		b = binary.AppendUvarint(b, n)
	}
	b = appendTime(b, st.Receipt, 0)
	for _, place := range st.Losses {
		b = binary.AppendUvarint(b, place)
	}
	b = appendTime(appendTime(b, st.firstReceiptAfterLoss, 0), st.fleetFloor, 0)
	//guard:set st.sources (*sources)(nil) "what was read of sources is in the snapshot" ./internal/stream:TestSimulatedSites
	return appendSources(binary.AppendUvarint(b, st.leftMissing), st.sources)
}

// recorder encodes machines as records.
type recorder struct {
	people   *people
	lateness time.Duration
	// Buffers, reused.
	sessions []sessionRow
	cleared  []clearingRow
}

// sessionRow and clearingRow are registers together with their sort keys.
type (
	sessionRow struct {
		id, details, user string
		stamp             Stamp
	}
	clearingRow struct {
		user  string
		stamp Stamp
	}
)

// append appends the machine's record, without its expired registers.
func (r *recorder) append(b []byte, m *machine) []byte {
	horizon := m.horizon(r.lateness)
	r.collect(m, horizon)
	b = appendString(b, m.name)
	b = appendTime(b, m.newest, 0)
	b = appendTime(b, m.heard, m.newest)
	b = appendBounds(b, m, horizon)
	b = binary.AppendUvarint(b, uint64(len(r.sessions)))
	for i := range r.sessions {
		b = r.sessions[i].append(b, m.newest)
	}
	b = binary.AppendUvarint(b, uint64(len(r.cleared)))
	for _, c := range r.cleared {
		b = appendStamp(appendString(b, c.user), c.stamp, m.newest)
	}
	return b
}

// Bits in the record of a machine, for the fields that follow.
const (
	hasFloor = 1 << iota
	hasReset
	hasRefused
	hasEvery
	hasNumbers
	hasChanged
	hasThrough
	allBounds = 1<<iota - 1
)

func appendBounds(b []byte, m *machine, horizon Time) []byte {
	at := len(b)
	b = append(b, 0)
	if m.floor() > horizon {
		b[at] |= hasFloor
		b = appendTime(b, m.floor(), m.newest)
	}
	if m.reset != (Stamp{}) {
		b[at] |= hasReset
		b = appendStamp(b, m.reset, m.newest)
	}
	if m.limited() {
		b[at] |= hasRefused
		b = appendStamp(b, m.refused(), m.newest)
	}
	if m.every != 0 {
		b[at] |= hasEvery
		b = binary.AppendUvarint(b, uint64(m.every))
	}
	if m.numbers != nil {
		b[at] |= hasNumbers
		b = appendNumbering(b, m.numbers, m.newest)
	}
	if m.changed != unchanged {
		b[at] |= hasChanged
		b = appendTime(b, m.changed, m.newest)
	}
	if m.through != 0 {
		b[at] |= hasThrough
		b = binary.AppendUvarint(b, m.through)
	}
	return b
}

// collect collects the machine's registers, in the order of the encoding.
func (r *recorder) collect(m *machine, before Time) {
	r.sessions, r.cleared = r.sessions[:0], r.cleared[:0]
	for i := range m.sessions.Rows {
		//guard:true "equal rosters have equal bytes" TestSameBytes
		if s := &m.sessions.Rows[i]; s.stamp.Date >= before && !m.forgets(s.stamp) || m.isOpen(s) {
			id, details := s.packed.id()
			r.sessions = append(r.sessions, sessionRow{id, details, r.people.name(s.user), s.stamp})
		}
	}
	for _, c := range m.clearings() {
		if c.stamp.Date >= before && !m.forgets(c.stamp) {
			r.cleared = append(r.cleared, clearingRow{r.people.name(c.user), c.stamp})
		}
	}
	slices.SortFunc(r.sessions, func(a, b sessionRow) int {
		return cmp.Or(strings.Compare(a.id, b.id), strings.Compare(a.user, b.user))
	})
	slices.SortFunc(r.cleared, func(a, b clearingRow) int { return strings.Compare(a.user, b.user) })
}

func (s *sessionRow) append(b []byte, newest Time) []byte {
	b = appendString(b, s.id)
	b = appendString(b, s.user)
	b = appendStamp(b, s.stamp, newest)
	if s.user == "" {
		return append(b, 0)
	}
	return appendDetails(b, s.details, newest)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendStamp(b []byte, s Stamp, newest Time) []byte {
	return binary.AppendUvarint(appendTime(b, s.Date, newest), s.Place)
}

const second = 1_000_000_000

func appendTime(b []byte, t, from Time) []byte {
	b = binary.AppendVarint(b, int64(from/second-t/second))
	return binary.AppendUvarint(b, uint64(t%second))
}

var _ io.WriterTo = (*Encoding)(nil)
