package roster

// ahead looks at what a batch is about to need. The fold of an event waits for
// memory again and again: for the slot of its machine in the index, then for
// the machine, then for its name and its registers, and the same for its user;
// with 100,000 of them that is most of the fold's time. Here each step is done
// for all events before the next: none waits for another, so the processor
// waits for many at once, and the fold finds all of it in the cache. Nothing is
// decided here.
type ahead struct {
	machines, users []uint32 // numbers, by the hashes of names alone
	seen            uint32   // a sum of what was looked at, or the compiler would leave it out
}

// few is how many messages are not worth looking ahead.
const few = 4

func (a *ahead) look(r *Roster, messages []Message) {
	if len(messages) < few {
		return
	}
	a.find(r, messages)
	for _, n := range a.machines {
		a.seen += r.fleet.machines.at(n).hash
	}
	for _, n := range a.users {
		a.seen += r.people.users.at(n).hash
	}
	for _, n := range a.machines {
		m := r.fleet.machines.at(n)
		a.seen += firstByte(m.name)
		if len(m.sessions.rows) > 0 {
			a.seen += m.sessions.rows[0].hash
		}
	}
	for _, n := range a.users {
		u := r.people.users.at(n)
		a.seen += firstByte(u.name)
		if len(u.on.rows) > 0 {
			a.seen += u.on.rows[0].machine
		}
	}
}

// find finds the machines and users of the messages.
func (a *ahead) find(r *Roster, messages []Message) {
	a.machines, a.users = a.machines[:0], a.users[:0]
	for i := range messages {
		e := &messages[i].Event
		if n, _ := r.fleet.names.first(hashOf(e.Machine)); n != 0 {
			a.machines = append(a.machines, n)
		}
		if n, _ := r.people.names.first(hashOf(e.Session.User)); n != 0 {
			a.users = append(a.users, n)
		}
	}
}

func firstByte(s string) uint32 {
	if s == "" {
		return 0
	}
	return uint32(s[0])
}
