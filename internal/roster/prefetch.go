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
	sum    uint32 // of what was loaded, so that the compiler keeps the loads
}

// prefetched is what one event will probably need, found only by the hashes of
// its names.
type prefetched struct {
	machine  *machine // nil: the event's machine or user is new
	user     *user
	number   uint32 // of the user
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
func (p *prefetcher) load(r *Roster, messages []Message) []prefetched {
	p.events = p.events[:0]
	worth := r.registers > prefetchThreshold && len(messages) >= minPrefetch
	for i := range messages {
		f := hashesOf(&messages[i].Event)
		if worth {
			f.find(r)
		}
		p.events = append(p.events, f)
	}
	if worth {
		p.loadRegisters()
	}
	return p.events
}

// loadRegisters does the steps after the first: it loads the machines and users,
// their names, and their registers.
func (p *prefetcher) loadRegisters() {
	for i := range p.events {
		if e := &p.events[i]; e.machine != nil {
			p.sum += e.machine.number + uint32(e.machine.newest) + e.user.hash
		}
	}
	for i := range p.events {
		if e := &p.events[i]; e.machine != nil {
			p.sum += firstByte(e.machine.name) + firstByte(e.user.name) + e.machine.clearedIndexUsed()
			e.session = e.machine.sessions.First(e.key())
			e.presence = e.user.on.First(mem.HashNumber(e.machine.number))
		}
	}
	for i := range p.events {
		if e := &p.events[i]; e.machine != nil {
			p.sum += e.loadRegisters()
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
func (p *prefetched) find(r *Roster) {
	machine, _ := r.fleet.names.First(p.machineHash)
	user, _ := r.people.names.First(p.userHash)
	if machine != 0 && user != 0 {
		p.machine, p.user, p.number = r.fleet.machines.At(machine), r.people.users.At(user), user
	}
}

// key returns the hash of the session's key.
func (p *prefetched) key() uint32 {
	if p.idHash != 0 {
		return p.idHash
	}
	return mem.HashNumber(p.number)
}

// loadRegisters loads the registers.
func (p *prefetched) loadRegisters() (sum uint32) {
	if p.session != nil {
		sum += firstByte(p.session.packed.text())
	}
	if p.presence != nil {
		sum += p.presence.open
	}
	if p.machine.cleared != nil {
		if c := p.machine.cleared.First(mem.HashNumber(p.number)); c != nil {
			sum += c.user
		}
	}
	return sum
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
