package roster

import (
	"iter"
	"sync"
)

// preserver is told of each machine just before the fold changes it, with the
// machine's lock held.
type preserver interface{ preserve(m *machine) }

// Cut is every machine as it was at one position, between two batches, while
// the fold goes on: a machine is viewed when the reader comes to it. When an
// event for it comes first, the fold keeps a copy of it just before that event,
// which is cheaper than any view. So nothing stops.
type Cut[T any] struct {
	// Status is that of the cut.
	Status Status

	r        *Roster
	view     func(View, T) T
	hidden   Time
	machines []*machine

	mu    sync.Mutex
	done  string                // the name of the last machine the reader has come to
	saved map[*machine]*machine // as they were, kept by the fold
}

// NewCut begins a cut. view makes of a machine what the reader wants. It is
// called once for each machine, by whoever reads All, with the machine's lock
// held, so it must be brief and must not call the roster. It may use the space
// of reuse, which is either empty or what the reader was given last. Close the
// cut when done with it: until then the fold works for it.
func NewCut[T any](r *Roster, view func(v View, reuse T) T) *Cut[T] {
	r.fold.Lock()
	c := &Cut[T]{Status: r.status, r: r, view: view, saved: make(map[*machine]*machine)}
	c.hidden = r.hiddenBefore(c.Status.Receipt)
	sorted, count := r.fleet.listed()
	r.cuts = append(r.cuts, c)
	r.people.cuts = len(r.cuts)
	r.fold.Unlock()
	c.machines = r.fleet.order(sorted, count)
	return c
}

// Close ends the cut. It may be called more than once.
func (c *Cut[T]) Close() {
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
// What it yields is valid until the next one. It can be read once.
func (c *Cut[T]) All() iter.Seq[T] {
	return func(yield func(T) bool) {
		var last T
		for _, m := range c.machines {
			last = c.take(m, last)
			if !yield(last) {
				return
			}
		}
	}
}

// take views a machine, or what the fold has kept of it.
func (c *Cut[T]) take(m *machine, reuse T) T {
	lock := c.r.lock(m)
	lock.Lock()
	defer lock.Unlock()
	if saved := c.pass(m); saved != nil {
		m = saved
	}
	return c.view(View{m, &c.r.people, c.hidden}, reuse)
}

// pass notes that the reader has come to a machine, and returns what the fold
// has kept of it, or nil.
func (c *Cut[T]) pass(m *machine) *machine {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = m.name
	saved := c.saved[m]
	if saved == nil {
		return nil
	}
	delete(c.saved, m)
	saved.reindex()
	return saved
}

// preserve keeps a copy of a machine that the fold is about to change.
func (c *Cut[T]) preserve(m *machine) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m.name <= c.done {
		return
	}
	if _, ok := c.saved[m]; !ok {
		c.saved[m] = m.clone()
	}
}
