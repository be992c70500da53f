package roster

import "rollcall/internal/roster/mem"

// ahead looks at what the next events are about to need. The fold of an event
// waits for memory again and again: for the slot of its machine in the index,
// then for the machine, then for its name and its registers, and the same for
// its user; with 100,000 of them that is most of the fold's time. Here each step
// is done for some events before the next: none waits for another, so the
// processor waits for many at once, and the fold finds all of it in the cache.
// Nothing is decided here: what is foreseen of an event holds only until the one
// before it is folded, so the fold looks whether it still does.
type ahead struct {
	events []foreseen
	seen   uint32 // a sum of what was looked at, or the compiler would leave it out
}

// foreseen is what one event is about to need, by the hashes of names alone.
type foreseen struct {
	machine  *machine // nil: the event brings a new one, or a new user
	user     *user
	number   uint32 // the user's
	session  *session
	presence *presence
	// hashes of the names of the machine, its user, and the session, if it has one
	machineHash, userHash, idHash uint32
}

const (
	// foresight is how many events are looked at together: enough to wait for
	// many at once, few enough for all that they need to stay in the cache.
	foresight = 64
	// few is how many events are not worth it.
	few = 4
)

// outgrown is how many registers a roster has that is larger than the cache of
// one core: a smaller one is found there anyway, and looking ahead only costs (a
// third of the fold, with 1,000 of them). Tests change it.
var outgrown = 20_000

// look returns what is foreseen of each of the next messages, until the next
// call.
func (a *ahead) look(r *Roster, messages []Message) []foreseen {
	a.events = a.events[:0]
	worth := r.remembered > outgrown && len(messages) >= few
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

// touch reaches what comes after the first step.
func (a *ahead) touch() {
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
			a.seen += e.look()
		}
	}
}

// hashed is what is always foreseen: the fold needs the hashes.
func hashed(e *Event) foreseen {
	f := foreseen{machineHash: mem.Hash(e.Machine), userHash: mem.Hash(e.Session.User)}
	if e.Session.ID != "" {
		f.idHash = mem.Hash(e.Session.ID)
	}
	return f
}

// find finds the machine and the user of the event.
func (f *foreseen) find(r *Roster) {
	machine, _ := r.fleet.names.First(f.machineHash)
	user, _ := r.people.names.First(f.userHash)
	if machine != 0 && user != 0 {
		f.machine, f.user, f.number = r.fleet.machines.At(machine), r.people.users.At(user), user
	}
}

// key is the hash of the session's key.
func (e *foreseen) key() uint32 {
	if e.idHash != 0 {
		return e.idHash
	}
	return mem.HashNumber(e.number)
}

// look looks at the registers.
func (e *foreseen) look() (seen uint32) {
	if e.session != nil {
		seen += firstByte(e.session.about.text())
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
