package roster

import "iter"

// preserver is told of each machine just before the fold changes it, with the
// machine's lock held.
type preserver interface{ preserve(m *machine) }

// Cut is every machine as it was at one position, between two batches, while
// the fold goes on: a machine is copied when the reader comes to it, or by the
// fold just before an event for it that comes first. So nothing stops.
type Cut struct {
	// Status is that of the cut.
	Status Status

	r        *Roster
	hidden   Time
	machines []*machine
	copies   copies
	// kept has by the machine's number, under the machine's lock, what the fold
	// has kept of it; or taken, once the reader has come to it.
	kept []*machine
}

// taken stands for a machine that the reader has come to.
var taken = new(machine)

// Cut begins a cut. Close it when done with it: until then the fold works for
// it.
func (r *Roster) Cut() *Cut {
	r.fold.Lock()
	sorted, count := r.fleet.listed()
	c := &Cut{Status: r.status, r: r, kept: make([]*machine, count+1)}
	c.hidden = r.hiddenBefore(c.Status.Receipt)
	r.cuts = append(r.cuts, c)
	r.people.cuts = len(r.cuts)
	r.fold.Unlock()
	c.machines = r.fleet.order(sorted, count)
	return c
}

// Close ends the cut. It may be called more than once.
func (c *Cut) Close() {
	c.r.fold.Lock()
	defer c.r.fold.Unlock()
	for i, other := range c.r.cuts {
		if other == preserver(c) {
			c.r.cuts = append(c.r.cuts[:i:i], c.r.cuts[i+1:]...)
			c.r.people.cuts = len(c.r.cuts)
			return
		}
	}
}

// All returns the machines in byte order of their names, hidden ones included.
// A view is valid until the next one, and holds nobody up. They can be read
// once, before Close.
func (c *Cut) All() iter.Seq[View] {
	return func(yield func(View) bool) {
		for rest := c.machines; len(rest) > 0; {
			n := c.copy(rest)
			for i := range c.copies.machines {
				if !yield(View{&c.copies.machines[i], &c.r.people, c.hidden}) {
					return
				}
			}
			rest = rest[n:]
		}
	}
}

// copies are some machines that the reader has come to. Each is reached by way
// of memory that no cache holds; like ahead, each step is done for all of them
// before the next.
type copies struct {
	machines []machine
	sessions []session
	cleared  []clearing
	seen     uint32 // a sum of what was looked at, or the compiler would leave it out
}

const (
	// copiedAtOnce is how many machines are copied at a time, and so is
	// registersAtOnce, unless one machine alone has more.
	copiedAtOnce    = 64
	registersAtOnce = 1024
)

// copy copies some of the next machines, and tells how many.
func (c *Cut) copy(next []*machine) int {
	next = next[:min(copiedAtOnce, len(next))]
	k := &c.copies
	k.machines, k.sessions, k.cleared = k.machines[:0], k.sessions[:0], k.cleared[:0]
	for _, m := range next {
		k.seen += firstByte(m.name) + m.hash
	}
	for _, m := range next {
		if len(k.sessions)+len(k.cleared) >= registersAtOnce {
			break
		}
		c.take(m)
	}
	k.look(&c.r.people)
	return len(k.machines)
}

// take copies a machine, or takes what the fold has kept of it.
func (c *Cut) take(m *machine) {
	lock := c.r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	as := m
	if kept := c.kept[m.number]; kept != nil {
		as = kept
	}
	c.kept[m.number] = taken
	c.copies.add(as)
}

// preserve keeps a copy of a machine that the fold is about to change.
func (c *Cut) preserve(m *machine) {
	if int(m.number) < len(c.kept) && c.kept[m.number] == nil {
		c.kept[m.number] = m.clone()
	}
}

// add appends a copy of a machine.
func (k *copies) add(m *machine) {
	n := len(k.sessions)
	k.sessions = append(k.sessions, m.sessions.rows...)
	k.machines = append(k.machines, *m)
	added := &k.machines[len(k.machines)-1]
	added.sessions = table[session]{rows: k.sessions[n:len(k.sessions):len(k.sessions)]}
	if m.cleared != nil {
		n := len(k.cleared)
		k.cleared = append(k.cleared, m.cleared.rows...)
		added.cleared = &table[clearing]{rows: k.cleared[n:len(k.cleared):len(k.cleared)]}
		added.cleared.reindex()
	}
}

// look looks at the names of users. As long as there is a cut none of them
// becomes another's.
func (k *copies) look(p *people) {
	for i := range k.sessions {
		if n := k.sessions[i].user; n != 0 {
			k.seen += uint32(len(p.users.at(n).name))
		}
	}
	for i := range k.sessions {
		k.seen += firstByte(p.name(k.sessions[i].user))
	}
}
