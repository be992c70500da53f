package roster

import "rollcall/internal/roster/mem"

// prefetcher loads the memory that the next events will need into the cache.
// Folding an event misses the cache several times in a row: for its machine's slot
// in the index, for the machine, for its name and registers, and then the same for
// its user. With 100,000 machines that is most of the fold's time. The prefetcher
// does each of these steps for many events before the next step: the loads of one
// step don't depend on each other, so the processor overlaps them.
//
// The result is only a hint: it may be outdated once the events before an event are
// folded, so the fold checks it.
type prefetcher struct {
	events []prefetched
	seen   uint32 // a sum of what was loaded, so that the compiler keeps the loads
}

// prefetched is what one event will probably need, found only by the hashes of
// its names.
type prefetched struct {
	machine  *machine // nil: the event's machine or user is new
	user     *user
	number   uint32 // the user's
	session  *session
	presence *presence
	// hashes of the names of the machine, its user, and the session, if it has one
	machineHash, userHash, idHash uint32
}

const (
	// prefetchWindow is how many events are prefetched together: enough for many loads at
	// once, few enough for everything to stay in the cache.
	prefetchWindow = 64
	// minPrefetch is the number of events from which prefetching pays.
	minPrefetch = 4
)

// prefetchThreshold is the number of registers above which a roster no longer fits
// in the cache of one core. A smaller roster is in the cache anyway, and prefetching
// only costs time: a sixth of the fold, with 1,000 sessions (BenchmarkPrefetch).
// Tests change it.
var prefetchThreshold = 20_000

// load prefetches for the next messages, and returns what it found for each. The
// slice is valid until the next call.
func (a *prefetcher) load(r *Roster, messages []Message) []prefetched {
	a.events = a.events[:0]
	worth := r.registers > prefetchThreshold && len(messages) >= minPrefetch
	for i := range messages {
		f := hashesOf(&messages[i].Event)
		if worth {
			f.find(r)
		}
		a.events = append(a.events, f)
	}
	if worth {
		a.loadRegisters()
	}
	return a.events
}

// loadRegisters does the steps after the first: it loads the machines and users,
// their names, and their registers.
func (a *prefetcher) loadRegisters() {
	for i := range a.events {
		if e := &a.events[i]; e.machine != nil {
			a.seen += e.machine.number + uint32(e.machine.newest) + e.user.hash
		}
	}
	for i := range a.events {
		if e := &a.events[i]; e.machine != nil {
			a.seen += firstByte(e.machine.name) + firstByte(e.user.name) + e.machine.clearedIndexUsed()
			e.session = e.machine.sessions.First(e.key())
			e.presence = e.user.on.First(mem.HashNumber(e.machine.number))
		}
	}
	for i := range a.events {
		if e := &a.events[i]; e.machine != nil {
			a.seen += e.loadRegisters()
		}
	}
}

// hashesOf computes the hashes of an event, which the fold needs anyway.
func hashesOf(e *Event) prefetched {
	f := prefetched{machineHash: mem.Hash(e.Machine), userHash: mem.Hash(e.Session.User)}
	if e.Session.ID != "" {
		f.idHash = mem.Hash(e.Session.ID)
	}
	return f
}

// find finds the machine and the user of the event.
func (f *prefetched) find(r *Roster) {
	machine, _ := r.fleet.names.First(f.machineHash)
	user, _ := r.people.names.First(f.userHash)
	if machine != 0 && user != 0 {
		f.machine, f.user, f.number = r.fleet.machines.At(machine), r.people.users.At(user), user
	}
}

// key returns the hash of the session's key.
func (e *prefetched) key() uint32 {
	if e.idHash != 0 {
		return e.idHash
	}
	return mem.HashNumber(e.number)
}

// loadRegisters loads the registers.
func (e *prefetched) loadRegisters() (seen uint32) {
	if e.session != nil {
		seen += firstByte(e.session.packed.text())
	}
	if e.presence != nil {
		seen += e.presence.open
	}
	if e.machine.cleared != nil {
		if c := e.machine.cleared.First(mem.HashNumber(e.number)); c != nil {
			seen += c.user
		}
	}
	return seen
}

func (m *machine) clearedIndexUsed() uint32 {
	if m.cleared == nil {
		return 0
	}
	return m.cleared.Index.Used
}

func firstByte(s string) uint32 {
	if s == "" {
		return 0
	}
	return uint32(s[0])
}
