// Package fleet has the roster as the page shows it, now or at a past moment: machines
// and users in order, totals, what happened last.
//
// A Fleet counts its revisions: each change of it is one. A machine, a user and the
// totals know the revision of their last change, so that a view that was rendered at one
// revision can be brought up to date from any earlier one, without a log of changes.
// What a Fleet returns is never changed afterwards.
package fleet

import (
	"slices"
	"sync"
	"time"

	"rollcall/internal/api"
)

// Machine is a machine, and who is on it.
type Machine struct {
	api.Machine
	Rev uint64
}

// User is somebody who is on.
type User struct {
	Name string
	// Machines is on how many machines the user is.
	Machines int
	Rev      uint64
}

// Totals are the numbers of the whole fleet.
type Totals struct {
	Rev      uint64
	Users    int
	Machines int
	Used     int // machines with somebody on
	Several  int // users on more than one machine
	Silent   int // machines
	// Lacking counts machines that are incomplete, or lack events.
	Lacking int
}

// News is one arrival or departure.
type News struct {
	When          time.Time
	Machine, User string
	Came          bool
	Rev           uint64
}

// keptNews is how many arrivals and departures are kept.
const keptNews = 60

// Fleet is a roster. It can be used by several goroutines.
type Fleet struct {
	mu       sync.RWMutex
	rev      uint64
	machines sorted[*Machine]
	users    sorted[*User]
	byName   map[string]*Machine
	people   map[string]*person
	totals   Totals
	members  uint64 // the revision at which a machine was added or removed last
	news     []News
	changed  chan struct{} // closed at the next revision

	lists  lists
	layout layouts
}

// person is a user, and where.
type person struct {
	*User
	on []string // in byte order
}

// New returns an empty fleet. Its revisions begin at 1.
func New() *Fleet {
	f := &Fleet{rev: 1, byName: map[string]*Machine{}, people: map[string]*person{}, changed: make(chan struct{})}
	f.machines.key = func(m *Machine) string { return m.Name }
	f.users.key = func(u *User) string { return u.Name }
	f.totals.Rev = 1
	return f
}

// Set adds a machine, or replaces what is known of it. When it was heard from last is no
// change.
func (f *Fleet) Set(m api.Machine) { f.Change(m, nil, nil, time.Time{}) }

// Change replaces what is known of a machine, and keeps who came and left as news of a
// moment.
func (f *Fleet) Change(m api.Machine, came, left []string, when time.Time) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if old, ok := f.byName[m.Name]; ok && len(came)+len(left) == 0 && same(&old.Machine, &m) {
		next := *old
		next.Heard = m.Heard
		f.byName[next.Name] = &next
		f.machines.put(&next)
		return
	}
	f.rev++
	for _, user := range left {
		f.news = append(f.news, News{when, m.Name, user, false, f.rev})
	}
	for _, user := range came {
		f.news = append(f.news, News{when, m.Name, user, true, f.rev})
	}
	if extra := len(f.news) - 2*keptNews; extra > 0 {
		f.news = slices.Clone(f.news[len(f.news)-keptNews:])
	}
	f.set(m)
	f.publish()
}

// Hear takes over when machines were heard from last. That is no change of them, but their
// order by it may be another: it is a revision, if anything is newer.
func (f *Fleet) Hear(machines []api.Machine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	newer := false
	for i := range machines {
		old := f.byName[machines[i].Name]
		//guard:drop After "a machine is not heard from earlier, by a report from before a change" TestHear
		if old == nil || !machines[i].Heard.After(old.Heard) {
			continue
		}
		next := *old
		next.Heard = machines[i].Heard
		f.byName[next.Name] = &next
		f.machines.put(&next)
		newer = true
	}
	if newer {
		f.rev++
		f.publish()
	}
}

// same reports whether nothing differs but when a machine was heard from last.
func same(a, b *api.Machine) bool {
	return slices.Equal(a.Users, b.Users) && a.Changed.Equal(b.Changed) &&
		a.Silent == b.Silent && a.Incomplete == b.Incomplete && a.Missing == b.Missing
}

// Fill adds many machines, as one revision.
func (f *Fleet) Fill(machines []api.Machine) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rev++
	for _, m := range machines {
		f.set(m)
	}
	f.publish()
}

// Remove removes a machine.
func (f *Fleet) Remove(name string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	old, ok := f.byName[name]
	if !ok {
		return
	}
	f.rev++
	f.count(old, -1)
	for _, user := range old.Users {
		f.leave(user, name)
	}
	delete(f.byName, name)
	f.machines.remove(name)
	f.members, f.totals.Rev = f.rev, f.rev
	f.publish()
}

// set is Set, with the lock held and the revision counted.
func (f *Fleet) set(m api.Machine) {
	old, known := f.byName[m.Name]
	next := &Machine{Machine: m, Rev: f.rev}
	if known {
		next.Name = old.Name
		f.count(old, -1)
		for _, user := range old.Users {
			if _, stays := slices.BinarySearch(m.Users, user); !stays {
				f.leave(user, m.Name)
			}
		}
	} else {
		f.members = f.rev
	}
	next.Users = make([]string, len(m.Users))
	for i, user := range m.Users {
		next.Users[i] = f.arrive(user, next.Name)
	}
	f.byName[next.Name] = next
	f.machines.put(next)
	f.count(next, 1)
	f.totals.Rev = f.rev
}

// arrive adds a machine to those of a user, and returns the one copy of the name.
func (f *Fleet) arrive(user, machine string) string {
	p := f.people[user]
	if p == nil {
		p = &person{User: &User{Name: user}}
	}
	if i, on := slices.BinarySearch(p.on, machine); !on {
		p.on = slices.Insert(p.on, i, machine)
		f.replace(p)
	}
	return p.Name
}

// leave removes a machine from those of a user.
func (f *Fleet) leave(user, machine string) {
	p := f.people[user]
	if i, on := slices.BinarySearch(p.on, machine); on {
		p.on = slices.Delete(p.on, i, i+1)
		f.replace(p)
	}
}

// replace brings a user up to date after p.on has changed by one machine.
func (f *Fleet) replace(p *person) {
	before := p.User.Machines
	p.User = &User{Name: p.Name, Machines: len(p.on), Rev: f.rev}
	switch {
	case len(p.on) == 0:
		delete(f.people, p.Name)
		f.users.remove(p.Name)
	default:
		f.people[p.Name] = p
		f.users.put(p.User)
	}
	f.totals.Users = f.users.len
	f.totals.Several += several(len(p.on)) - several(before)
}

func several(machines int) int {
	if machines > 1 {
		return 1
	}
	return 0
}

// count adds a machine to the totals, or removes it.
func (f *Fleet) count(m *Machine, by int) {
	f.totals.Machines += by
	if len(m.Users) > 0 {
		f.totals.Used += by
	}
	if m.Silent {
		f.totals.Silent += by
	}
	if m.Incomplete || m.Missing > 0 {
		f.totals.Lacking += by
	}
}

func (f *Fleet) publish() {
	close(f.changed)
	f.changed = make(chan struct{})
}

// Touch counts a revision: something beside the machines has changed.
func (f *Fleet) Touch() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rev++
	f.totals.Rev = f.rev
	f.publish()
}

// Rev returns the revision, and a channel that is closed at the next one.
func (f *Fleet) Rev() (uint64, <-chan struct{}) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.rev, f.changed
}

// Totals returns the numbers of the whole fleet.
func (f *Fleet) Totals() Totals {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.totals
}

// Machine returns a machine; nil: not known.
func (f *Fleet) Machine(name string) *Machine {
	f.mu.RLock()
	defer f.mu.RUnlock()
	return f.byName[name]
}

// Found returns those of some machines that are known, in the order of the names.
func (f *Fleet) Found(names []string) []*Machine {
	f.mu.RLock()
	defer f.mu.RUnlock()
	machines := make([]*Machine, 0, len(names))
	for _, name := range names {
		if m := f.byName[name]; m != nil {
			machines = append(machines, m)
		}
	}
	return machines
}

// User returns a user, and the first of the machines on which the user is, at most n;
// nil: the user is on none.
func (f *Fleet) User(name string, n int) (*User, []string) {
	f.mu.RLock()
	defer f.mu.RUnlock()
	p := f.people[name]
	if p == nil {
		return nil, nil
	}
	return p.User, slices.Clone(p.on[:min(n, len(p.on))])
}

// followed is on how many machines a user may be for RevOf to look at each.
const followed = 20

// RevOf returns the revision of the last change of a machine, or of a user and the machines
// that the user is on, if they are few; 0: not known.
func (f *Fleet) RevOf(name string, user bool) uint64 {
	f.mu.RLock()
	defer f.mu.RUnlock()
	if m := f.byName[name]; !user {
		if m == nil {
			return 0
		}
		return m.Rev
	}
	p := f.people[name]
	if p == nil {
		return 0
	}
	rev := p.Rev
	if len(p.on) <= followed {
		for _, machine := range p.on {
			rev = max(rev, f.byName[machine].Rev)
		}
	}
	return rev
}

// News returns what happened last, the latest first.
func (f *Fleet) News(n int) []News {
	f.mu.RLock()
	defer f.mu.RUnlock()
	last := slices.Clone(f.news[max(0, len(f.news)-n):])
	slices.Reverse(last)
	return last
}
