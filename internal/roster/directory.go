package roster

import (
	"slices"
	"strings"
	"sync"
)

// directory finds machines by name and lists them in byte order of their
// names. Only the fold adds, so the fold finds without the lock. Machines are
// never removed: their newest and reset decide about what is still to come.
type directory struct {
	mu       sync.RWMutex
	names    index
	machines slab[machine]
	sorted   []*machine // the first of them; never written to again once it stands here
}

// find is for the fold.
func (d *directory) find(name string, hash uint32) *machine {
	for n, next := d.names.first(hash); n != 0; n, next = d.names.next(hash, next) {
		if m := d.machines.at(n); m.name == name {
			return m
		}
	}
	return nil
}

// lookup is for everybody else.
func (d *directory) lookup(name string) *machine {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.find(name, hashOf(name))
}

// add adds a machine, whose hash is set, and whose name is not there yet.
func (d *directory) add(m machine) *machine {
	d.mu.Lock()
	defer d.mu.Unlock()
	m.number = d.machines.add()
	added := d.machines.at(m.number)
	*added = m
	d.names.add(m.hash, m.number)
	return added
}

// count is how many machines there are; for the fold.
func (d *directory) count() int { return int(d.machines.n) }

// all yields the machines in the order in which they were added; for the fold.
func (d *directory) all(yield func(*machine) bool) {
	for n := range d.machines.n {
		if !yield(d.machines.at(n + 1)) {
			return
		}
	}
}

// ordered returns all machines in order of name. The slice must not be
// written to.
func (d *directory) ordered() []*machine {
	return d.order(d.listed())
}

// listed returns what order needs, at once, so that the fold isn't held up by
// the sorting.
func (d *directory) listed() (sorted []*machine, count int) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.sorted, d.count()
}

// order merges the machines that were added since with the sorted ones and
// keeps the result for the next reader, unless somebody was faster.
func (d *directory) order(sorted []*machine, count int) []*machine {
	if len(sorted) == count {
		return sorted
	}
	fresh := make([]*machine, count-len(sorted))
	for i := range fresh {
		fresh[i] = d.machines.at(uint32(len(sorted) + i + 1))
	}
	if !slices.IsSortedFunc(fresh, byName) {
		slices.SortFunc(fresh, byName)
	}
	merged := merge(sorted, fresh)
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sorted) == len(sorted) {
		d.sorted = merged
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
