package roster

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unsafe"

	"rollcall/internal/roster/mem"
)

const (
	// fullBlock is the size of a full block, in bytes of records.
	fullBlock = 1 << 16
	// blocks is the number of blocks in flight: enough that neither side waits
	// for the other at every block.
	blocks = 8
)

// block is a batch of machines being restored.
type block struct {
	// As read: the records, where each one ends, and in the last block either the
	// counts at the end of the encoding or the error that occurred.
	text []byte
	ends []int
	end  *counts
	err  error
	// As decoded: the machines, complete except for the numbers of their users, and
	// the names of these users: for each machine, those of its sessions and then
	// those of its clearings. The name is empty where nobody is on.
	machines []machine
	hashes   []uint32     // of their names
	users    []hashedName // parts of text
	// Buffers that acquireAll reuses.
	numbers []uint32
	known   []string
}

// hashedName is a name, and its hash.
type hashedName struct {
	name string
	hash uint32
}

func (b *block) user(name string) { b.users = append(b.users, hashedName{name, mem.Hash(name)}) }

func (b *block) reset() *block {
	clear(b.machines)
	b.text, b.ends, b.end, b.err = b.text[:0], b.ends[:0], nil, nil
	b.machines, b.hashes, b.users = b.machines[:0], b.hashes[:0], b.users[:0]
	return b
}

// machine decodes one record and adds its machine to the block.
func (d *decoder) machine(b *block, record []byte) error {
	in := fields{s: unsafe.String(unsafe.SliceData(record), len(record))}
	m := machine{name: strings.Clone(in.text())}
	//guard:false "no machine is restored twice" TestRestoreRefuses
	if in.err == nil && m.name <= d.last {
		return fmt.Errorf("machine %q: not in order of name", m.name)
	}
	m.newest = in.time(0)
	m.heard = in.time(m.newest)
	d.machineBounds(&m, &in)
	d.sessions(b, &m, &in)
	d.clearings(b, &m, &in)
	if in.err == nil && len(in.s) > 0 {
		in.err = errors.New("bytes after the record")
	}
	if in.err != nil {
		return fmt.Errorf("machine %q: %w", m.name, in.err)
	}
	if d.floor > 0 {
		m.raiseFloor(m.newest.Add(-d.floor))
	}
	m.ended = math.MaxInt64
	b.machines, b.hashes = append(b.machines, m), append(b.hashes, mem.Hash(m.name))
	d.last = m.name
	d.counts[0]++
	return nil
}

// machineBounds decodes the fields of a machine that the bits announce.
func (d *decoder) machineBounds(m *machine, in *fields) {
	has := uint64(hasFloor | hasReset)
	if d.version > 1 {
		has = in.uvarint()
	}
	if has > allBounds || d.version == 2 && has >= hasEvery || d.version == 3 && has >= hasChanged || d.version == 4 && has >= hasThrough {
		in.fail(fmt.Errorf("bounds %#x: unknown", has))
	}
	var l limitState
	if has&hasFloor != 0 {
		l.floor = in.time(m.newest)
	}
	if has&hasReset != 0 {
		m.reset = in.stamp(m.newest)
	}
	if has&hasRefused != 0 {
		l.refused = in.stamp(m.newest)
	}
	if has&hasEvery != 0 {
		m.every = time.Duration(in.uvarint())
		//guard:false "an interval out of range is not restored" TestRestoreRefuses
		if m.every < MinEvery || m.every > MaxEvery {
			in.fail(errors.New("every: out of range"))
		}
	}
	if has&hasNumbers != 0 {
		m.numbers = in.numbering(m.newest)
	}
	if m.changed = unchanged; has&hasChanged != 0 {
		//guard:false "a login after the newest event is not restored" TestRestoreRefuses
		if m.changed = in.time(m.newest); m.changed > m.newest {
			in.fail(errors.New("changed: after the newest date"))
		}
	}
	if has&hasThrough != 0 {
		m.through = in.uvarint()
	}
	if l != (limitState{}) {
		m.limits = &l
	}
}

// leastRecord and leastClearing are the smallest sizes of an encoded session and
// an encoded clearing, in bytes. So the size of what was read bounds what is
// allocated for a count that may be false.
const leastRecord, leastClearing = 6, 4

// sessions decodes the sessions of a machine. Their packed details share one
// allocation.
func (d *decoder) sessions(b *block, m *machine, in *fields) {
	n := in.uvarint()
	m.sessions.Resize(int(min(n, uint64(len(in.s)/leastRecord))))
	d.packed, d.ends = d.packed[:0], d.ends[:0]
	var s Session
	lastID, lastUser := "", ""
	for ; n > 0 && in.err == nil; n-- {
		stamp := d.session(&s, m.newest, in)
		if in.err == nil && (s.ID < lastID || s.ID == lastID && (s.ID != "" || s.User <= lastUser)) {
			in.fail(fmt.Errorf("session %q of user %q: no name, or twice, or not in order", s.ID, s.User))
		}
		if in.err != nil {
			return
		}
		lastID, lastUser = s.ID, s.User
		row := session{stamp: stamp}
		if s.ID != "" {
			row.hash = mem.Hash(s.ID)
		}
		m.sessions.Rows = append(m.sessions.Rows, row)
		b.user(s.User)
		d.ends = append(d.ends, len(d.packed))
		d.counts[1]++
	}
	packed, from := bytes.Clone(d.packed), 0
	for i, end := range d.ends {
		m.sessions.Rows[i].packed = newPacked(packed[from:end])
		from = end
	}
}

// session decodes one session and appends it, packed, to d.packed.
func (d *decoder) session(s *Session, newest Time, in *fields) Stamp {
	*s = Session{ID: in.text(), User: in.text()}
	stamp := in.stamp(newest)
	has := in.uvarint()
	//guard:false "unknown details of a newer version are refused" TestRestoreRefuses
	if has > allDetails {
		in.fail(fmt.Errorf("details %#x: unknown", has))
	}
	if has != 0 {
		in.details(s, byte(has), newest)
	}
	before := len(d.packed)
	d.packed = appendPacked(d.packed, s)
	if n := len(d.packed) - before; n > maxPacked {
		in.fail(fmt.Errorf("session of %d bytes: too long", n))
	}
	return stamp
}

func (d *decoder) clearings(b *block, m *machine, in *fields) {
	last := ""
	n := in.uvarint()
	if n > 0 {
		m.cleared = new(mem.Table[clearing])
		m.cleared.Resize(int(min(n, uint64(len(in.s)/leastClearing))))
	}
	for ; n > 0 && in.err == nil; n-- {
		name := in.text()
		stamp := in.stamp(m.newest)
		if in.err == nil && name <= last {
			in.fail(fmt.Errorf("clearing of user %q: no name, or twice, or not in order", name))
		}
		if in.err != nil {
			return
		}
		last = name
		m.cleared.Rows = append(m.cleared.Rows, clearing{stamp: stamp})
		b.user(name)
		d.counts[2]++
	}
}

// addBlock adds the machines of a block to a roster that no other goroutine uses
// yet, and collects their open sessions for the user index.
func (r *Roster) addBlock(b *block, g *bulkIndex) {
	users := r.people.acquireAll(b)
	before := r.hiddenBefore(r.status.Receipt)
	for i := range b.machines {
		m := r.fleet.add(b.machines[i], b.hashes[i], 0)
		users = m.assign(users)
		for i := range m.sessions.Rows {
			if s := &m.sessions.Rows[i]; m.isOpen(s) {
				g.add(s.user, m)
			} else {
				m.recordClosed(s.stamp)
			}
		}
		m.expire(r, true)
		r.registers += m.registerCount()
		r.status.Machines++
		s := r.standingOf(&r.status, m, before)
		r.status.recount(standing{}, s)
		if s.recent {
			r.recent = append(r.recent, recentMachine{m.heard, m.number})
		}
	}
}

// assign sets the users of the machine's registers from the start of users, and
// returns the rest.
func (m *machine) assign(users []uint32) []uint32 {
	sessions := m.sessions.Rows
	for i, n := range users[:len(sessions)] {
		s := &sessions[i]
		s.user = n
		if s.packed.isImplicit() {
			s.hash = mem.HashNumber(n)
		}
	}
	users = users[len(sessions):]
	clearings := m.clearings()
	for i, n := range users[:len(clearings)] {
		clearings[i].user = n
		m.recordClosed(clearings[i].stamp)
	}
	m.reindex()
	return users[len(clearings):]
}

// acquireAll acquires the users of a block and returns their numbers. It spends
// nearly all of its time on cache misses, so it does each step for all users before
// the next step: the processor then overlaps the loads.
func (p *people) acquireAll(b *block) []uint32 {
	b.numbers, b.known = b.numbers[:0], b.known[:0]
	for _, u := range b.users {
		n, _ := p.names.First(u.hash)
		b.numbers = append(b.numbers, n)
	}
	for _, n := range b.numbers {
		b.known = append(b.known, p.name(n))
	}
	for i, u := range b.users {
		switch {
		case u.name == "":
			b.numbers[i] = 0
		case u.name == b.known[i]:
			p.users.At(b.numbers[i]).refs++
		default:
			b.numbers[i] = p.acquireHashed(u.name, u.hash)
		}
	}
	return b.numbers
}
