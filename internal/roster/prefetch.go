package roster

import "rollcall/internal/roster/mem"

// prefetcher touches the memory that the next events will need. Folding an event
// waits for memory several times in a row: for its machine's slot in the index, for
// the machine, for its name and registers, and then the same for its user. With
// 100,000 machines that is most of the fold's time. The prefetcher does one of these
// steps for many events before it does the next step: the loads of one step do not
// depend on each other, so the processor overlaps them, and the fold then finds
// everything in the cache.
//
// It decides nothing. What it found for an event may be outdated once the events
// before that one are folded, so the fold checks it.
type prefetcher struct {
	events []prefetched
	seen   uint32 // a sum of what was loaded, or the compiler would drop the loads
}

// prefetched is what one event will probably need, found only by the hashes of
// its names.
type prefetched struct {
	machine  *machine // nil: the event brings a new one, or a new user
	user     *user
	number   uint32 // the user's
	session  *session
	presence *presence
	// hashes of the names of the machine, its user, and the session, if it has one
	machineHash, userHash, idHash uint32
}

const (
	// ahead is how many events are prefetched together: enough for many loads at
	// once, few enough for everything to stay in the cache.
	ahead = 64
	// tooFew is a number of events for which prefetching is not worth it.
	tooFew = 4
)

// outgrown is how many registers a roster has that no longer fits in the cache of one
// core. A smaller roster is in the cache anyway, and prefetching only costs: a sixth
// of the fold, with 1,000 sessions (BenchmarkPrefetch). Tests change it.
var outgrown = 20_000

// look returns what was prefetched for each of the next messages. The slice is valid
// until the next call.
func (a *prefetcher) look(r *Roster, messages []Message) []prefetched {
	a.events = a.events[:0]
	worth := r.remembered > outgrown && len(messages) >= tooFew
	for i := range messages {
		f := hashed(&messages[i].Event)
		if worth {
			f.find(r)
		}
		a.events = append(a.events, f)
	}
	if worth {
		a.touch()
	}
	return a.events
}

// touch does the steps after the first.
func (a *prefetcher) touch() {
	for i := range a.events {
		if e := &a.events[i]; e.machine != nil {
			a.seen += e.machine.number + uint32(e.machine.newest) + e.user.hash
		}
	}
	for i := range a.events {
		if e := &a.events[i]; e.machine != nil {
			a.seen += firstByte(e.machine.name) + firstByte(e.user.name) + e.machine.clearedUsed()
			e.session = e.machine.sessions.First(e.key())
			e.presence = e.user.on.First(mem.HashNumber(e.machine.number))
		}
	}
	for i := range a.events {
		if e := &a.events[i]; e.machine != nil {
			a.seen += e.touchRegisters()
		}
	}
}

// hashed computes the hashes of an event, which the fold needs anyway.
func hashed(e *Event) prefetched {
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

// key is the hash of the session's key.
func (e *prefetched) key() uint32 {
	if e.idHash != 0 {
		return e.idHash
	}
	return mem.HashNumber(e.number)
}

// touchRegisters loads the registers.
func (e *prefetched) touchRegisters() (seen uint32) {
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

func (m *machine) clearedUsed() uint32 {
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
