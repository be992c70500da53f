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
	mu     sync.RWMutex
	byName map[string]*machine
	sorted []*machine // never written to again once it stands here
	fresh  []*machine // added since; its elements are never written again
}

// find is for the fold.
func (d *directory) find(name string) *machine { return d.byName[name] }

// lookup is for everybody else.
func (d *directory) lookup(name string) *machine {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.byName[name]
}

func (d *directory) add(m *machine) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.byName == nil {
		d.byName = make(map[string]*machine)
	}
	d.byName[m.name] = m
	d.fresh = append(d.fresh, m)
}

// ordered returns all machines in order of name. The slice must not be
// written to.
func (d *directory) ordered() []*machine {
	return d.order(d.listed())
}

// listed returns what order needs, at once, so that the fold isn't held up by
// the sorting.
func (d *directory) listed() (sorted, fresh []*machine) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.sorted, d.fresh[:len(d.fresh):len(d.fresh)]
}

// order merges the fresh machines with the sorted ones and keeps the result
// for the next reader, unless somebody was faster.
func (d *directory) order(sorted, fresh []*machine) []*machine {
	if len(fresh) == 0 {
		return sorted
	}
	merged := merge(sorted, slices.SortedFunc(slices.Values(fresh), byName))
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.sorted) == len(sorted) {
		d.sorted = merged
		d.fresh = slices.Clone(d.fresh[len(fresh):])
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
