package roster

import (
	"strings"
	"sync"
)

// user is one name, shared by all registers that hold it.
type user struct {
	name string
	refs int // registers that hold it; forgotten with the last
	// on are the machines with open sessions of the user. Written by the fold
	// under the index's lock.
	on table[*machine, presence]
}

// presence counts the open sessions of a user on one machine.
type presence struct {
	machine *machine
	open    int32
}

func (p presence) key() *machine { return p.machine }

// index finds users by name. Only the fold writes it, so the fold reads
// without the lock.
type index struct {
	mu     sync.RWMutex
	byName map[string]*user
}

// hold returns the user of a name for one more register.
func (x *index) hold(name string) *user {
	u := x.byName[name]
	if u == nil {
		u = &user{name: strings.Clone(name)}
		x.mu.Lock()
		if x.byName == nil {
			x.byName = make(map[string]*user)
		}
		x.byName[u.name] = u
		x.mu.Unlock()
	}
	u.refs++
	return u
}

// drop gives back what hold gave.
func (x *index) drop(u *user) {
	if u == nil {
		return
	}
	if u.refs--; u.refs == 0 {
		x.mu.Lock()
		delete(x.byName, u.name)
		x.mu.Unlock()
	}
}

// opened notes one more open session of u on m.
func (x *index) opened(st *Status, u *user, m *machine) {
	x.mu.Lock()
	defer x.mu.Unlock()
	st.Sessions++
	if p := u.on.find(m); p != nil {
		p.open++
		return
	}
	u.on.put(presence{m, 1})
	m.users++
	switch len(u.on.rows) {
	case 1:
		st.Users++
	case 2:
		st.Several++
	}
}

// closed notes one open session of u on m less.
func (x *index) closed(st *Status, u *user, m *machine) {
	x.mu.Lock()
	defer x.mu.Unlock()
	st.Sessions--
	p := u.on.find(m)
	if p.open--; p.open > 0 {
		return
	}
	u.on.remove(m)
	m.users--
	switch len(u.on.rows) {
	case 0:
		st.Users--
	case 1:
		st.Several--
	}
}

// machines returns the machines that a user is on.
func (x *index) machines(name string) []*machine {
	x.mu.RLock()
	defer x.mu.RUnlock()
	u := x.byName[name]
	if u == nil {
		return nil
	}
	machines := make([]*machine, len(u.on.rows))
	for i, p := range u.on.rows {
		machines[i] = p.machine
	}
	return machines
}
