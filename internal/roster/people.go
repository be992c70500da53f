package roster

import (
	"strings"
	"sync"

	"rollcall/internal/roster/mem"
)

// user is one name, shared by all registers that hold it.
type user struct {
	name string
	// on are the machines with open sessions of the user.
	on   mem.Table[presence]
	hash uint32 // of the name
	refs int32  // registers that hold it; forgotten with the last
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

// people finds users by name. Only the fold writes, and it holds the lock for a
// batch; it reads without the lock. Whoever holds the lock of a machine may read
// the names of the users on it.
type people struct {
	mu    sync.Mutex
	names mem.Index
	users mem.Slab[user]
	free  []uint32 // numbers of users that were forgotten
	cuts  int      // while there are any, free numbers are not reused

	feed  *Feed  // nil: nobody follows
	event uint32 // the number of the event that is folded, for the feed
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

// hold returns the number of the user with a name, and counts one more register
// that holds it.
func (p *people) hold(name string) uint32 { return p.holdHashed(name, mem.Hash(name)) }

// holdSeen is hold for a user who may have been prefetched.
func (p *people) holdSeen(seen *prefetched, name string) uint32 {
	//guard:drop u.name "what is prefetched decides nothing" TestPrefetched
	if u := seen.user; u != nil && u.refs > 0 && u.name == name {
		u.refs++
		return seen.number
	}
	return p.holdHashed(name, seen.userHash)
}

func (p *people) holdHashed(name string, hash uint32) uint32 {
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
	//guard:drop p.cuts "a cut names the users of its place" TestCut
	if last < 0 || p.cuts > 0 {
		return p.users.Add()
	}
	n := p.free[last]
	p.free = p.free[:last]
	return n
}

// drop undoes a hold.
func (p *people) drop(n uint32) {
	if n == 0 {
		return
	}
	u := p.users.At(n)
	if u.refs--; u.refs == 0 {
		//guard:drop "names are forgotten with their sessions" TestBounded
		p.names.Remove(u.hash, n)
		p.free = append(p.free, n)
	}
}

// name returns a user's name; the name of nobody is empty.
func (p *people) name(n uint32) string {
	if n == 0 {
		return ""
	}
	return p.users.At(n).name
}

// opened records one more open session of a user on m.
func (p *people) opened(st *Status, n uint32, m *machine) {
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

// closed records one open session less of a user on m.
func (p *people) closed(st *Status, n uint32, m *machine) {
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
