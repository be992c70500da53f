package roster

import (
	"strings"
	"sync"

	"rollcall/internal/roster/mem"
)

// user is one user, shared by all registers that refer to it.
type user struct {
	name string
	// on are the machines with open sessions of the user.
	on   mem.Table[presence]
	hash uint32 // of the name
	refs int32  // registers that refer to it; freed with the last
}

// presence counts the open sessions of a user on one machine.
type presence struct{ machine, open uint32 }

func (p presence) KeyHash() uint32 { return mem.HashNumber(p.machine) }

// at returns the index in on of the machine with a number, or -1.
func (u *user) at(machine uint32) int {
	if u.on.Indexed() {
		return u.on.Lookup(mem.HashNumber(machine), func(p *presence) bool { return p.machine == machine })
	}
	for i := range u.on.Rows {
		if u.on.Rows[i].machine == machine {
			return i
		}
	}
	return -1
}

// people finds users by name. The fold holds mu for a whole batch, so a reader of
// the index waits for the batch. The name of a user who is on a machine, or in a
// cut, may be read without mu: by the holder of the machine's lock, or until the
// cut is closed. cuts, feed and event are guarded by Roster.fold.
type people struct {
	mu    sync.Mutex
	names mem.Index
	users mem.Slab[user]
	free  []uint32 // numbers of users that no register refers to any more
	cuts  int      // while there are any, free numbers are not reused

	feed  *Feed  // nil: none is open
	event uint32 // the number of the event being folded, for the feed
}

// find returns the number of a user, or 0.
func (p *people) find(name string, hash uint32) uint32 {
	for n, next := p.names.First(hash); n != 0; n, next = p.names.Next(hash, next) {
		if p.users.At(n).name == name {
			return n
		}
	}
	return 0
}

// acquire returns the number of the user with a name, adding the user if it is
// new, and counts one more reference.
func (p *people) acquire(name string) uint32 { return p.acquireHashed(name, mem.Hash(name)) }

// acquirePrefetched is acquire for a user who may have been prefetched.
func (p *people) acquirePrefetched(hint *prefetched, name string) uint32 {
	//guard:drop u.name "prefetching never changes the result" TestPrefetched
	if u := hint.user; u != nil && u.refs > 0 && u.name == name {
		u.refs++
		return hint.number
	}
	return p.acquireHashed(name, hint.userHash)
}

func (p *people) acquireHashed(name string, hash uint32) uint32 {
	n := p.find(name, hash)
	if n == 0 {
		n = p.number()
		*p.users.At(n) = user{name: strings.Clone(name), hash: hash}
		p.names.Add(hash, n)
	}
	p.users.At(n).refs++
	return n
}

// number returns a number for a new user.
func (p *people) number() uint32 {
	last := len(p.free) - 1
	//guard:drop p.cuts "a cut keeps the names of its users" TestCut
	if last < 0 || p.cuts > 0 {
		return p.users.Add()
	}
	n := p.free[last]
	p.free = p.free[:last]
	return n
}

// release undoes one acquire.
func (p *people) release(n uint32) {
	if n == 0 {
		return
	}
	u := p.users.At(n)
	if u.refs--; u.refs == 0 {
		//guard:drop "names are freed with their sessions" TestBounded
		p.names.Remove(u.hash, n)
		p.free = append(p.free, n)
	}
}

// name returns a user's name; for nobody (0) it is empty.
func (p *people) name(n uint32) string {
	if n == 0 {
		return ""
	}
	return p.users.At(n).name
}

// recordOpened records one more open session of a user on m.
func (p *people) recordOpened(st *Status, n uint32, m *machine) {
	u := p.users.At(n)
	st.Sessions++
	m.open++
	if i := u.at(m.number); i >= 0 {
		u.on.Rows[i].open++
		return
	}
	u.on.Put(presence{m.number, 1})
	m.users++
	p.feed.record(m, u.name, p.event, true)
	switch len(u.on.Rows) {
	case 1:
		st.Users++
	case 2:
		st.Several++
	}
}

// recordClosed records one less open session of a user on m.
func (p *people) recordClosed(st *Status, n uint32, m *machine) {
	u := p.users.At(n)
	st.Sessions--
	m.open--
	i := u.at(m.number)
	if u.on.Rows[i].open--; u.on.Rows[i].open > 0 {
		return
	}
	u.on.Remove(i)
	m.users--
	p.feed.record(m, u.name, p.event, false)
	switch len(u.on.Rows) {
	case 0:
		st.Users--
	case 1:
		st.Several--
	}
}

// machines returns the numbers of the machines that a user is on.
func (p *people) machines(name string) []uint32 {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := p.find(name, mem.Hash(name))
	if n == 0 {
		return nil
	}
	on := p.users.At(n).on.Rows
	machines := make([]uint32, len(on))
	for i := range on {
		machines[i] = on[i].machine
	}
	return machines
}
