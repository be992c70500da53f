package roster

import (
	"iter"

	"rollcall/internal/roster/mem"
)

// preserver is called with each machine just before the fold changes it. The
// machine's lock is held.
type preserver interface{ preserve(m *machine) }

// Cut is every machine as it was at one position, between two batches, while the
// fold continues. It is copy-on-write: a machine is copied when the reader reaches
// it, or by the fold just before it changes the machine, whichever happens first.
type Cut struct {
	// Status is the roster's status at the cut.
	Status Status

	r        *Roster
	machines []*machine
	// saved is indexed by the machine's number and guarded by the machine's lock.
	// It has the copy that the fold saved, or alreadyRead once the reader has
	// reached the machine.
	saved []*machine
}

// alreadyRead marks a machine that the reader has reached.
var alreadyRead = new(machine)

// Cut begins a cut. Close it when done: until then the fold copies machines for
// it.
func (r *Roster) Cut() *Cut {
	r.fold.Lock()
	listed := r.fleet.listed()
	c := &Cut{Status: r.status, r: r, saved: make([]*machine, r.fleet.machines.Last+1)}
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

// copyBatches is the number of batches: one is read while the next is copied.
const copyBatches = 2

// All yields the machines in byte order of their names, hidden ones included. A
// view is valid until the next one, and holds no lock. All may be called once,
// before Close. The next batch is copied while the reader reads the current one.
func (c *Cut) All() iter.Seq[View] {
	return func(yield func(View) bool) {
		free, filled := make(chan *copyBatch, copyBatches), make(chan *copyBatch, copyBatches)
		for range copyBatches {
			free <- new(copyBatch)
		}
		go c.copyAll(free, filled)
		defer func() { // also when the reader stops early
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
func (c *Cut) copyAll(free <-chan *copyBatch, filled chan<- *copyBatch) {
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

// copyBatch has copies of the machines that the reader reaches next.
type copyBatch struct {
	machines []machine
	sessions []session
	cleared  []clearing
	sum      uint32 // of what was loaded, so that the compiler keeps the loads
}

const (
	// A batch is full with this many machines or registers: enough to make the cost
	// of waking the reader small. A single machine may have more registers.
	batchMachines  = 1024
	batchRegisters = 8 * batchMachines
	// copiedAtOnce is how many machines are copied in one round. Each of them costs
	// several cache misses, so, as in prefetch.go, each step is done for all of them
	// before the next step.
	copiedAtOnce = 64
)

func (b *copyBatch) full() bool {
	return len(b.machines) >= batchMachines || len(b.sessions)+len(b.cleared) >= batchRegisters
}

// fill fills k with copies of the next machines, and returns how many it copied.
func (c *Cut) fill(k *copyBatch, next []*machine) int {
	k.machines, k.sessions, k.cleared = k.machines[:0], k.sessions[:0], k.cleared[:0]
	for i := 0; i < len(next) && !k.full(); i = len(k.machines) {
		c.copy(k, next[i:min(i+copiedAtOnce, len(next))])
	}
	return len(k.machines)
}

// copy copies machines to k until it is full.
func (c *Cut) copy(k *copyBatch, machines []*machine) {
	for _, m := range machines {
		k.sum += firstByte(m.name) + m.number
	}
	before := len(k.sessions)
	for _, m := range machines {
		if k.full() {
			break
		}
		c.copyMachine(k, m)
	}
	k.loadNames(&c.r.people, k.sessions[before:])
}

// copyMachine appends to k the copy that the fold saved, or else a copy of the
// machine itself.
func (c *Cut) copyMachine(k *copyBatch, m *machine) {
	lock := c.r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	if saved := c.saved[m.number]; saved != nil {
		m = saved
	}
	c.saved[m.number] = alreadyRead
	k.add(m)
}

// preserve saves a copy of a machine that the fold is about to change.
func (c *Cut) preserve(m *machine) {
	if int(m.number) < len(c.saved) && c.saved[m.number] == nil {
		c.saved[m.number] = m.clone()
	}
}

// add appends a copy of a machine.
func (b *copyBatch) add(m *machine) {
	n := len(b.sessions)
	b.sessions = append(b.sessions, m.sessions.Rows...)
	b.machines = append(b.machines, *m)
	added := &b.machines[len(b.machines)-1]
	added.numbers = m.numbers.clone()
	added.sessions = mem.Table[session]{Rows: b.sessions[n:len(b.sessions):len(b.sessions)]}
	if m.cleared != nil {
		n := len(b.cleared)
		b.cleared = append(b.cleared, m.cleared.Rows...)
		added.cleared = &mem.Table[clearing]{Rows: b.cleared[n:len(b.cleared):len(b.cleared)]}
		added.cleared.Reindex()
	}
}

// loadNames loads the names of the sessions' users into the cache. While there is
// a cut, no user's number is reused for another user.
func (b *copyBatch) loadNames(p *people, sessions []session) {
	for i := range sessions {
		if n := sessions[i].user; n != 0 {
			b.sum += uint32(len(p.users.At(n).name))
		}
	}
	for i := range sessions {
		b.sum += firstByte(p.name(sessions[i].user))
	}
}
