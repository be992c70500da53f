package roster

import (
	"math"

	"rollcall/internal/roster/mem"
)

// TidyAll forgets all that may be forgotten.
func (r *Roster) TidyAll() {
	r.fold.Lock()
	defer r.fold.Unlock()
	r.people.mu.Lock()
	defer r.people.mu.Unlock()
	r.expireAll(nil)
}

// Remembered counts what the limits count, and what is really there.
func (r *Roster) Remembered() (counted, there int) {
	r.fold.Lock()
	defer r.fold.Unlock()
	for m := range r.fleet.all {
		there += m.registerCount()
	}
	return r.registers, there
}

// Names returns how many users' names are kept.
func (r *Roster) Names() int { return int(r.people.names.Used) }

// HashOf is the hash of a name.
func HashOf(name string) uint32 { return mem.Hash(name) }

// Prefetch makes the fold prefetch always, or never, until the returned function is
// called.
func Prefetch(always bool) (restore func()) {
	before := prefetchThreshold
	if prefetchThreshold = math.MaxInt; always {
		prefetchThreshold = -1
	}
	return func() { prefetchThreshold = before }
}
