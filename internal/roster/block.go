package roster

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"strings"
	"unsafe"
)

// fullBlock is how many bytes of records make a block.
const fullBlock = 1 << 16

// block is some machines on their way from an encoding into the roster: all of
// them but the numbers of their users, whose names are in users, of each session
// and then of each clearing, machine by machine. Nobody's is empty.
type block struct {
	machines []machine
	users    []string // parts of text
	text     []byte
	numbers  []uint32 // of users
	known    []string
}

func (b *block) emptied() *block {
	clear(b.machines)
	b.machines, b.users, b.text = b.machines[:0], b.users[:0], b.text[:0]
	return b
}

// machine reads the record of a machine into the block.
func (d *decoder) machine(b *block, record []byte) error {
	start := len(b.text)
	b.text = append(b.text, record...)
	in := fields{s: unsafe.String(&b.text[start], len(record))}
	m := machine{name: strings.Clone(in.text())}
	if in.err == nil && m.name <= d.last {
		return fmt.Errorf("machine %q: not in order of name", m.name)
	}
	m.newest = in.time(0)
	m.heard = in.time(m.newest)
	m.floor = in.time(m.newest)
	m.reset = in.stamp(m.newest)
	d.sessions(b, &m, &in)
	d.clearings(b, &m, &in)
	if in.err == nil && len(in.s) > 0 {
		in.err = errors.New("bytes after the record")
	}
	if in.err != nil {
		return fmt.Errorf("machine %q: %w", m.name, in.err)
	}
	if d.floor > 0 {
		m.floor = max(m.floor, m.newest.Add(-d.floor))
	}
	m.ended = math.MinInt64 // unknown
	b.machines = append(b.machines, m)
	d.last = m.name
	d.counts[0]++
	return nil
}

// leastRecord is how many bytes the record of a session has at least: what is
// read bounds what room is made for.
const leastRecord = 6

// sessions reads the sessions of a machine. What is about them is one
// allocation for all.
func (d *decoder) sessions(b *block, m *machine, in *fields) {
	n := in.uvarint()
	m.sessions.resize(int(min(n, uint64(len(in.s)/leastRecord))))
	d.abouts, d.ends = d.abouts[:0], d.ends[:0]
	var last, s Session
	for ; n > 0 && in.err == nil; n-- {
		stamp := d.session(&s, m.newest, in)
		if in.err == nil && (s.ID < last.ID || s.ID == last.ID && (s.ID != "" || s.User <= last.User)) {
			in.fail(fmt.Errorf("session %q of user %q: no name, or twice, or not in order", s.ID, s.User))
		}
		if in.err != nil {
			return
		}
		last = s
		row := session{stamp: stamp}
		if s.ID != "" {
			row.hash = hashOf(s.ID)
		}
		m.sessions.rows = append(m.sessions.rows, row)
		b.users = append(b.users, s.User)
		d.ends = append(d.ends, len(d.abouts))
		d.counts[1]++
	}
	abouts, from := bytes.Clone(d.abouts), 0
	for i, end := range d.ends {
		m.sessions.rows[i].about = newAbout(abouts[from:end])
		from = end
	}
}

// session reads one session, and appends what is about it to abouts.
func (d *decoder) session(s *Session, newest Time, in *fields) Stamp {
	*s = Session{ID: in.text(), User: in.text()}
	stamp := in.stamp(newest)
	has := in.uvarint()
	if has > allDetails {
		in.fail(fmt.Errorf("details %#x: unknown", has))
	}
	in.details(s, byte(has), newest)
	before := len(d.abouts)
	d.abouts = appendAbout(d.abouts, s)
	if n := len(d.abouts) - before; n > maxAbout {
		in.fail(fmt.Errorf("session of %d bytes: too long", n))
	}
	return stamp
}

func (d *decoder) clearings(b *block, m *machine, in *fields) {
	last := ""
	for n := in.uvarint(); n > 0 && in.err == nil; n-- {
		name := in.text()
		stamp := in.stamp(m.newest)
		if in.err == nil && name <= last {
			in.fail(fmt.Errorf("clearing of user %q: no name, or twice, or not in order", name))
		}
		if in.err != nil {
			return
		}
		last = name
		if m.cleared == nil {
			m.cleared = new(table[clearing])
		}
		m.cleared.rows = append(m.cleared.rows, clearing{stamp: stamp})
		b.users = append(b.users, name)
		d.counts[2]++
	}
}

// take puts the machines of a block into the roster, which nobody else knows
// yet.
func (r *Roster) take(b *block) {
	users := r.people.holdAll(b)
	last := r.status.Losses.last()
	for i := range b.machines {
		m := r.fleet.add(b.machines[i])
		users = m.assign(users)
		for i := range m.sessions.rows {
			if s := &m.sessions.rows[i]; m.open(s) {
				r.people.entered(&r.status, s.user, m)
			}
		}
		m.tidy(r, true)
		r.remembered += m.remembered()
		r.status.Machines++
		if last > 0 && m.reset.Place <= last {
			r.status.Unsettled++
		}
	}
}

// assign gives the machine's registers the first of the users, and returns the
// others.
func (m *machine) assign(users []uint32) []uint32 {
	sessions := m.sessions.rows
	for i, n := range users[:len(sessions)] {
		s := &sessions[i]
		s.user = n
		if s.about.isImplicit() {
			s.hash = hashOfNumber(n)
		}
	}
	users = users[len(sessions):]
	clearings := m.clearings()
	for i, n := range users[:len(clearings)] {
		clearings[i].user = n
	}
	m.reindex()
	return users[len(clearings):]
}

// holdAll holds the users of a block and returns their numbers. Nearly all of
// the time goes by waiting for memory, so it takes one step for all of them and
// then the next: the processor waits for many at once.
func (p *people) holdAll(b *block) []uint32 {
	b.numbers, b.known = b.numbers[:0], b.known[:0]
	for _, name := range b.users {
		n, _ := p.names.first(hashOf(name))
		b.numbers = append(b.numbers, n)
	}
	for _, n := range b.numbers {
		b.known = append(b.known, p.name(n))
	}
	for i, name := range b.users {
		switch {
		case name == "":
			b.numbers[i] = 0
		case name == b.known[i]:
			p.users.at(b.numbers[i]).refs++
		default:
			b.numbers[i] = p.hold(name)
		}
	}
	return b.numbers
}
