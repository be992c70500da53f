package roster

import (
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"rollcall/internal/roster/mem"
)

// removed is the value of heard for a machine that was removed from the directory.
const removed Time = math.MinInt64

// directory finds machines by name and lists them in byte order of their names.
// Only the fold adds and removes machines, so the fold calls find without the
// lock.
type directory struct {
	mu       sync.RWMutex
	names    mem.Index
	machines mem.Slab[machine]
	sorted   []*machine // replaced, never written to
	unsorted []*machine // added since sorted was made, in no order
	version  int        // of sorted
	// free has the numbers of removed machines. A number is reused only when no
	// reader can still reach the old machine by it.
	free    []uint32
	readers atomic.Int32
}

// find returns a machine, or nil. The fold may call it without the lock.
func (d *directory) find(name string, hash uint32) *machine {
	for n, next := d.names.First(hash); n != 0; n, next = d.names.Next(hash, next) {
		if m := d.machines.At(n); m.name == name {
			return m
		}
	}
	return nil
}

// lookup is find for readers.
func (d *directory) lookup(name string) *machine {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.find(name, mem.Hash(name))
}

// add adds a machine that the directory doesn't have. hash is that of its name.
func (d *directory) add(m machine, hash uint32, cuts int) *machine {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.number = d.number(cuts)
	added := d.machines.At(m.number)
	*added = m
	d.names.Add(hash, m.number)
	d.unsorted = append(d.unsorted, added)
	return added
}

// number returns a number for a new machine.
func (d *directory) number(cuts int) uint32 {
	last := len(d.free) - 1
	if last < 0 || cuts > 0 || d.readers.Load() > 0 {
		return d.machines.Add()
	}
	n := d.free[last]
	d.free = d.free[:last]
	return n
}

// remove removes machines whose heard is removed.
func (d *directory) remove(machines []*machine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range machines {
		d.names.Remove(mem.Hash(m.name), m.number)
		d.free = append(d.free, m.number)
	}
	isRemoved := func(m *machine) bool { return m.heard == removed }
	d.sorted = slices.DeleteFunc(slices.Clone(d.sorted), isRemoved)
	d.unsorted = slices.DeleteFunc(d.unsorted, isRemoved)
	d.version++
}

// all yields the machines in no particular order. It is for the fold.
func (d *directory) all(yield func(*machine) bool) {
	for n := range d.machines.Last {
		if m := d.machines.At(n + 1); m.heard != removed && !yield(m) {
			return
		}
	}
}

// last returns the last number of a machine.
func (d *directory) last() uint32 {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.machines.Last
}

// ordered returns all machines in order of name. The slice is read-only.
func (d *directory) ordered() []*machine { return d.order(d.listed()) }

// listing is what order needs.
type listing struct {
	sorted, fresh []*machine
	version       int
}

// listed returns what order needs. It takes the lock only briefly, so that sorting
// doesn't block the fold.
func (d *directory) listed() listing {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return listing{d.sorted, slices.Clone(d.unsorted), d.version}
}

// order merges the unsorted machines into the sorted ones. It caches the result
// for the next reader, unless sorted has changed meanwhile.
func (d *directory) order(l listing) []*machine {
	if len(l.fresh) == 0 {
		return l.sorted
	}
	if !slices.IsSortedFunc(l.fresh, byName) {
		slices.SortFunc(l.fresh, byName)
	}
	merged := merge(l.sorted, l.fresh)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.version == l.version {
		d.sorted, d.unsorted = merged, slices.Clone(d.unsorted[len(l.fresh):])
		d.version++
	}
	return merged
}

func merge(a, b []*machine) []*machine {
	merged := make([]*machine, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if byName(a[0], b[0]) < 0 {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}

func byName(a, b *machine) int { return strings.Compare(a.name, b.name) }
