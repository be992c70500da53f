package fleet

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Selection says which machines or users a list has, and in which order.
type Selection struct {
	Filter Filter
	// State is one of "", "used", "nobody" and "silent" for machines, and one of "" and
	// "several" for users.
	State string
	// Group is the name of a group of machines; empty: any.
	Group string
	// Sort is "", "name", "users", "changed" or "heard" for machines, and "", "name" or
	// "machines" for users; the ones beside name begin with the greatest. A - in front
	// reverses the order.
	Sort string
	// Last says which users come after all others, unless they are sorted by their names;
	// nil: none. It is the same for all selections of a fleet.
	Last func(user string) bool
}

// natural reports whether a list is that of all, in the order of their names.
func (s *Selection) natural(standard string) bool {
	return s.Filter.Text == "" && s.State == "" && s.Group == "" && cmp.Or(s.Sort, standard) == "name"
}

// Row is a *Machine or a *User.
type Row interface{ *Machine | *User }

// List is a list of a revision. Its rows do not change, but those of all machines or all
// users in the order of their names are the rows of now.
type List[T Row] struct {
	Rev uint64
	// Order is the revision since which the list has had the same rows in the same order,
	// or a later one.
	Order uint64
	Len   int
	rows  func(from, n int) []T
}

// Rows returns at most n rows from an index on.
func (l *List[T]) Rows(from, n int) []T { return l.rows(max(0, from), n) }

// Machines returns the list of a selection.
func (f *Fleet) Machines(s *Selection) *List[*Machine] {
	if s.natural("name") {
		f.mu.RLock()
		defer f.mu.RUnlock()
		return &List[*Machine]{Rev: f.rev, Order: f.members, Len: f.machines.len, rows: func(from, n int) []*Machine {
			f.mu.RLock()
			defer f.mu.RUnlock()
			return f.machines.slice(from, n)
		}}
	}
	return cached(f, &f.lists.machines, "machines "+s.key(), func() (uint64, []*Machine) {
		f.mu.RLock()
		rev, all := f.rev, f.machines.slice(0, f.machines.len)
		f.mu.RUnlock()
		var found []*Machine
		for _, m := range all {
			if s.selectsMachine(m) {
				found = append(found, m)
			}
		}
		return rev, found
	}, func(all []*Machine) { slices.SortStableFunc(all, s.compareMachines) })
}

// Users returns the list of a selection. Its standard order is by the number of
// machines.
func (f *Fleet) Users(s *Selection) *List[*User] {
	if s.natural("machines") {
		f.mu.RLock()
		defer f.mu.RUnlock()
		return &List[*User]{Rev: f.rev, Order: f.rev, Len: f.users.len, rows: func(from, n int) []*User {
			f.mu.RLock()
			defer f.mu.RUnlock()
			return f.users.slice(from, n)
		}}
	}
	return cached(f, &f.lists.users, "users "+s.key(), func() (uint64, []*User) {
		f.mu.RLock()
		rev, all := f.rev, f.users.slice(0, f.users.len)
		f.mu.RUnlock()
		var found []*User
		for some := range slices.Chunk(all, maxChunk) {
			found = f.selectUsers(s, some, found)
		}
		return rev, found
	}, s.sortUsers)
}

// selectUsers adds those users to found that a selection selects, by the machines that they are
// on now: that may be later than the users.
func (f *Fleet) selectUsers(s *Selection, users, found []*User) []*User {
	f.mu.RLock()
	defer f.mu.RUnlock()
	for _, u := range users {
		var on []string
		if p := f.people[u.Name]; p != nil {
			on = p.on
		}
		if (s.State != "several" || u.Machines > 1) && s.Filter.user(u.Name, on) {
			found = append(found, u)
		}
	}
	return found
}

func (s *Selection) key() string {
	return strings.Join([]string{s.Filter.Text, s.State, s.Group, s.Sort, strconv.FormatUint(s.Filter.digest, 36)}, "\x00")
}

func (s *Selection) selectsMachine(m *Machine) bool {
	switch s.State {
	case "used":
		if len(m.Users) == 0 {
			return false
		}
	case "nobody":
		if len(m.Users) > 0 || m.Silent {
			return false
		}
	case "silent":
		if !m.Silent {
			return false
		}
	}
	return (s.Group == "" || s.Group == GroupOf(m.Name)) && s.Filter.machine(m)
}

// compareMachines compares by what the list is sorted by. Equal machines stay in the
// order of their names.
func (s *Selection) compareMachines(a, b *Machine) int {
	by, reverse := strings.CutPrefix(s.Sort, "-")
	var c int
	switch by {
	case "users":
		c = len(b.Users) - len(a.Users)
	case "changed":
		c = b.Changed.Compare(a.Changed)
	case "heard":
		c = b.Heard.Compare(a.Heard)
	default:
		c = strings.Compare(a.Name, b.Name)
	}
	if reverse {
		return -c
	}
	return c
}

// sortUsers sorts users.
func (s *Selection) sortUsers(users []*User) {
	slices.SortStableFunc(users, s.compareUsers)
	if s.Last == nil || strings.TrimPrefix(s.Sort, "-") == "name" {
		return
	}
	var last []*User
	first := users[:0]
	for _, u := range users {
		//guard:set s.Last(u.Name) false "service accounts come after people" ./internal/web:TestServiceAccountsLast
		if s.Last(u.Name) {
			last = append(last, u)
		} else {
			first = append(first, u)
		}
	}
	copy(users[len(first):], last)
}

func (s *Selection) compareUsers(a, b *User) int {
	by, reverse := strings.CutPrefix(s.Sort, "-")
	c := b.Machines - a.Machines
	if by == "name" {
		c = strings.Compare(a.Name, b.Name)
	}
	if reverse {
		return -c
	}
	return c
}

// lists are the lists that views have in common. A view asks for its list after each
// revision; a list is made again only if that is long enough ago for making lists to
// take a tenth of the time.
type lists struct {
	mu       sync.Mutex
	machines map[string]*kept[*Machine]
	users    map[string]*kept[*User]
}

type kept[T Row] struct {
	mu    sync.Mutex
	rev   uint64
	rows  []T
	due   time.Time // not made again before
	asked time.Time
}

const (
	// maxLists bounds the lists that are kept; forgotten is how long after the last
	// question one is forgotten.
	maxLists  = 32
	forgotten = 30 * time.Second
)

// cached returns a list that is kept, or makes it: collect returns its revision and its rows,
// and holds the lock of the fleet for moments only, or a slow filter would hold up everybody.
func cached[T Row](f *Fleet, all *map[string]*kept[T], key string, collect func() (uint64, []T), order func([]T)) *List[T] {
	now := time.Now()
	f.lists.mu.Lock()
	if *all == nil {
		*all = map[string]*kept[T]{}
	}
	k := (*all)[key]
	if k == nil {
		for other, old := range *all {
			if now.Sub(old.asked) > forgotten || len(*all) >= maxLists {
				delete(*all, other)
			}
		}
		k = new(kept[T])
		(*all)[key] = k
	}
	k.asked = now
	f.lists.mu.Unlock()

	k.mu.Lock()
	defer k.mu.Unlock()
	rev, _ := f.Rev()
	if k.rev != rev && !now.Before(k.due) {
		start := time.Now()
		k.rev, k.rows = collect()
		order(k.rows)
		k.due = time.Now().Add(10 * time.Since(start))
	}
	rows := k.rows
	return &List[T]{Rev: k.rev, Order: k.rev, Len: len(rows), rows: func(from, n int) []T {
		from = min(from, len(rows))
		return rows[from:min(len(rows), from+n)]
	}}
}
