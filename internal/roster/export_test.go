package roster

import (
	"math"

	"rollcall/internal/roster/mem"
)

// ExpireAll drops all expired registers.
func (r *Roster) ExpireAll() {
	r.fold.Lock()
	defer r.fold.Unlock()
	r.people.mu.Lock()
	defer r.people.mu.Unlock()
	r.expireAll(nil)
}

// RegisterCounts returns the number of registers as the limits count it, and as
// counted here.
func (r *Roster) RegisterCounts() (counted, there int) {
	r.fold.Lock()
	defer r.fold.Unlock()
	for m := range r.fleet.all {
		there += m.registerCount()
	}
	return r.registers, there
}

// Names returns how many users' names are stored.
func (r *Roster) Names() int { return int(r.people.names.Used) }

// Cleared returns the users who were logged out of all sessions.
func (v View) Cleared() (users []string) {
	for _, c := range v.m.clearings() {
		users = append(users, v.people.name(c.user))
	}
	return users
}

// HashOf returns the hash of a name.
func HashOf(name string) uint32 { return mem.Hash(name) }

// Prefetch makes the fold prefetch always or never, until restore is called.
func Prefetch(always bool) (restore func()) {
	before := prefetchThreshold
	if prefetchThreshold = math.MaxInt; always {
		prefetchThreshold = -1
	}
	return func() { prefetchThreshold = before }
}
