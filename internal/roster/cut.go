package roster

import (
	"iter"

	"rollcall/internal/roster/mem"
)

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
	machines []*machine
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
	listed := r.fleet.listed()
	c := &Cut{Status: r.status, r: r, kept: make([]*machine, r.fleet.machines.Last+1)}
	r.cuts = append(r.cuts, c)
	r.people.cuts = len(r.cuts)
	r.fold.Unlock()
	c.machines = r.fleet.order(listed)
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

// lots is how many lots of copies there are: one is read while the next is made.
const lots = 2

// All returns the machines in byte order of their names, hidden ones included.
// A view is valid until the next one, and holds nobody up. They can be read
// once, before Close. The next are copied while the reader is at the last.
func (c *Cut) All() iter.Seq[View] {
	return func(yield func(View) bool) {
		free, filled := make(chan *copies, lots), make(chan *copies, lots)
		for range lots {
			free <- new(copies)
		}
		go c.copyAll(free, filled)
		defer func() { // also when the reader wants no more
			close(free)
			for range filled {
			}
		}()
		for k := range filled {
			for i := range k.machines {
				if !yield(c.r.view(&k.machines[i], &c.Status)) {
					return
				}
			}
			free <- k
		}
	}
}

// copyAll copies the machines, until the reader closes free.
func (c *Cut) copyAll(free <-chan *copies, filled chan<- *copies) {
	defer close(filled)
	for rest := c.machines; len(rest) > 0; {
		k, ok := <-free
		if !ok {
			return
		}
		rest = rest[c.fill(k, rest):]
		filled <- k
	}
}

// copies are a lot of machines that the reader comes to next.
type copies struct {
	machines []machine
	sessions []session
	cleared  []clearing
	seen     uint32 // a sum of what was looked at, or the compiler would leave it out
}

const (
	// A lot is full with so many machines or registers: enough that waking the
	// reader for it costs little. One machine alone may have more.
	lotMachines  = 1024
	lotRegisters = 8 * lotMachines
	// copiedAtOnce is how many machines are copied in one round. Each is reached
	// by way of memory that no cache holds; like prefetch, each step is done for all
	// of them before the next.
	copiedAtOnce = 64
)

func (k *copies) full() bool {
	return len(k.machines) >= lotMachines || len(k.sessions)+len(k.cleared) >= lotRegisters
}

// fill makes k a lot of the next machines, and tells how many they are.
func (c *Cut) fill(k *copies, next []*machine) int {
	k.machines, k.sessions, k.cleared = k.machines[:0], k.sessions[:0], k.cleared[:0]
	for i := 0; i < len(next) && !k.full(); i = len(k.machines) {
		c.copy(k, next[i:min(i+copiedAtOnce, len(next))])
	}
	return len(k.machines)
}

// copy copies machines to k until it is full.
func (c *Cut) copy(k *copies, machines []*machine) {
	for _, m := range machines {
		k.seen += firstByte(m.name) + m.number
	}
	before := len(k.sessions)
	for _, m := range machines {
		if k.full() {
			break
		}
		c.take(k, m)
	}
	k.look(&c.r.people, k.sessions[before:])
}

// take copies a machine, or takes what the fold has kept of it, to k.
func (c *Cut) take(k *copies, m *machine) {
	lock := c.r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	as := m
	if kept := c.kept[m.number]; kept != nil {
		as = kept
	}
	c.kept[m.number] = taken
	k.add(as)
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
	k.sessions = append(k.sessions, m.sessions.Rows...)
	k.machines = append(k.machines, *m)
	added := &k.machines[len(k.machines)-1]
	added.sessions = mem.Table[session]{Rows: k.sessions[n:len(k.sessions):len(k.sessions)]}
	if m.cleared != nil {
		n := len(k.cleared)
		k.cleared = append(k.cleared, m.cleared.Rows...)
		added.cleared = &mem.Table[clearing]{Rows: k.cleared[n:len(k.cleared):len(k.cleared)]}
		added.cleared.Reindex()
	}
}

// look looks at the names of users. As long as there is a cut none of them
// becomes another's.
func (k *copies) look(p *people, sessions []session) {
	for i := range sessions {
		if n := sessions[i].user; n != 0 {
			k.seen += uint32(len(p.users.At(n).name))
		}
	}
	for i := range sessions {
		k.seen += firstByte(p.name(sessions[i].user))
	}
}
