package history

import (
	"cmp"
	"slices"
	"sync"

	"rollcall/internal/roster"
)

// Fleet is who was on at a moment, on machines that follow each other by name.
type Fleet struct {
	// Place is the place that it was read at.
	Place uint64
	// More says that there are machines after these.
	More bool

	// Of many there are few bytes each: machines and users are numbers.
	machines []bool   // which it has, by their numbers
	last     string   // no name of them is greater
	starts   []uint32 // by the machines' numbers: where its users begin, which end where those of the next begin
	users    []uint32
}

// onMachine is a user who was on a machine.
type onMachine struct{ machine, user uint32 }

// maxFleet is how many machines a Fleet has at most, and maxOn, how many users on them
// while there is more than one.
const maxFleet, maxOn = 100_000, 600_000

// Fleet reads who was on at a moment, on the machines whose names come after one. It has
// the machines that were heard by then, and not longer than lateness before.
func (v *View) Fleet(at roster.Time, after string, silent roster.Time) (*Fleet, error) {
	return v.fleet(at, after, silent, maxFleet, maxOn)
}

func (v *View) fleet(at roster.Time, after string, silent roster.Time, maxFleet, maxOn int) (*Fleet, error) {
	f := &Fleet{Place: v.Place()}
	machines, ordered, err := v.machinesAt(at, after, silent, maxFleet)
	if err != nil {
		return nil, err
	}
	f.More = len(machines) > maxFleet
	machines = machines[:min(len(machines), maxFleet)]
	f.keep(machines)
	var on []onMachine
	for _, statement := range []string{"select e.machine, e.user" + endedOnAt, "select e.machine, e.user" + openOnAt} {
		q, err := prepared(v.c, statement, at)
		if err != nil {
			return nil, err
		}
		for q.next() {
			u := onMachine{uint32(q.ColumnInt64(0)), uint32(q.ColumnInt64(1))}
			if !f.has(u.machine) {
				continue
			}
			if on = append(on, u); len(on) <= maxOn || len(machines) <= 1 {
				continue
			}
			if !ordered {
				if machines, err = v.machinesByName(at, after, silent, maxFleet); err != nil {
					return nil, cmp.Or(err, q.Reset())
				}
				ordered = true
			}
			f.More = true
			machines = machines[:len(machines)/2]
			f.keep(machines)
			on = slices.DeleteFunc(on, func(u onMachine) bool { return !f.has(u.machine) })
		}
		if q.err != nil {
			return nil, q.err
		}
	}
	f.arrange(on)
	switch {
	case !ordered:
		err = each(v.c, func(q *query) { f.last = q.ColumnText(0) }, "select max(name) from machines")
	case len(machines) > 0:
		f.last, err = v.machineName(int64(machines[len(machines)-1]))
	}
	return f, err
}

// heardAt is of the machines that a Fleet has.
const heardAt = "first <= ?2 and (newest >= ?3 or exists (select 1 from open e where e.machine = machines.id)) "

// machinesAt returns the first machines of a fleet, and one more if there are more. If the fleet
// has no more, they are in the order of the table, which takes less time than that of their names.
func (v *View) machinesAt(at roster.Time, after string, silent roster.Time, most int) (ids []uint32, ordered bool, err error) {
	if after == "" {
		ids, err = v.machineNumbers("select id from machines where "+heardAt+"limit 0 + ?4", at, after, silent, most)
		if err != nil || len(ids) <= most {
			return ids, false, err
		}
	}
	ids, err = v.machinesByName(at, after, silent, most)
	return ids, true, err
}

func (v *View) machinesByName(at roster.Time, after string, silent roster.Time, most int) ([]uint32, error) {
	return v.machineNumbers("select id from machines where name > ?1 and "+heardAt+"order by name limit 0 + ?4", at, after, silent, most)
}

func (v *View) machineNumbers(statement string, at roster.Time, after string, silent roster.Time, most int) (ids []uint32, err error) {
	err = each(v.c, func(q *query) { ids = append(ids, uint32(q.ColumnInt64(0))) }, statement, after, at, silent, most+1)
	return ids, err
}

// keep sets which machines it has.
func (f *Fleet) keep(machines []uint32) {
	f.machines = nil
	if len(machines) > 0 {
		f.machines = make([]bool, slices.Max(machines)+1)
	}
	for _, m := range machines {
		f.machines[m] = true
	}
}

func (f *Fleet) has(machine uint32) bool {
	return int(machine) < len(f.machines) && f.machines[machine]
}

// arrange sets who was on: a user as often as he had sessions on a machine.
func (f *Fleet) arrange(on []onMachine) {
	f.starts = make([]uint32, len(f.machines)+1)
	for _, u := range on {
		f.starts[u.machine]++
	}
	ends := uint32(0)
	for m, n := range f.starts {
		ends += n
		f.starts[m] = ends
	}
	f.users = make([]uint32, len(on))
	for _, u := range on {
		f.starts[u.machine]--
		f.users[f.starts[u.machine]] = u.user
	}
}

// Machines calls show with each machine after one, and who was on it, until show
// returns false.
func (f *Fleet) Machines(v *View, after string, show func(name string, users []string) bool) error {
	q, err := prepared(v.c, "select id, name from machines where name > ? and name <= ? order by name", after, f.last)
	if err != nil {
		return err
	}
	for q.next() {
		m := uint32(q.ColumnInt64(0))
		if !f.has(m) {
			continue
		}
		users, err := f.usersOn(v, m)
		if err != nil || !show(q.ColumnText(1), users) {
			return cmp.Or(err, q.Reset())
		}
	}
	return q.err
}

// usersOn returns the names of those who were on a machine, in order.
func (f *Fleet) usersOn(v *View, machine uint32) (names []string, err error) {
	numbers := f.users[f.starts[machine]:f.starts[machine+1]]
	names = make([]string, len(numbers))
	for i, number := range numbers {
		if names[i], err = v.names.userName(int64(number)); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// fleets keeps the last few fleets that were asked about, so that the pages of one
// answer don't each search the whole. Without it they would be the same.
type fleets struct {
	reading sync.Mutex // held by the question that reads one: the others may need the same
	mu      sync.Mutex
	list    []keptFleet // the last used first
}

type keptFleet struct {
	at    roster.Time
	after string
	*Fleet
}

// maxFleets is how many fleets are kept.
const maxFleets = 3

// get returns the fleet of a moment that has the machines after one, if it is kept
// and still holds.
func (k *fleets) get(at roster.Time, after string, holds func(place uint64) bool) *Fleet {
	k.mu.Lock()
	defer k.mu.Unlock()
	for i, f := range k.list {
		if f.at != at || f.after > after || !holds(f.Place) {
			continue
		}
		if f.More && f.last <= after {
			continue
		}
		k.list = slices.Insert(slices.Delete(k.list, i, i+1), 0, f)
		return f.Fleet
	}
	return nil
}

// forget forgets all: the file is another.
func (k *fleets) forget() {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = nil
}

func (k *fleets) put(at roster.Time, after string, f *Fleet) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = slices.Insert(k.list, 0, keptFleet{at, after, f})
	k.list = k.list[:min(len(k.list), maxFleets)]
}

// fleet returns a fleet that is kept, or reads it.
func (h *History) fleet(v *View, at roster.Time, after string) (*Fleet, error) {
	// A later fleet may have numbers that the view does not know.
	//guard:drop v.Place "a fleet is not of a later view" TestFleetOfLaterView
	holds := func(place uint64) bool { return place <= v.Place() && h.unchanged(place, at) }
	if f := h.fleets.get(at, after, holds); f != nil {
		return f, nil
	}
	h.fleets.reading.Lock()
	defer h.fleets.reading.Unlock()
	//guard:set "f != nil" false "one question reads a fleet, and the others use it" TestFleetIsReadOnce
	if f := h.fleets.get(at, after, holds); f != nil {
		return f, nil
	}
	f, err := v.Fleet(at, after, at.Add(-h.Roster.Settings().AllowedLateness))
	if err == nil {
		h.fleets.put(at, after, f)
	}
	return f, err
}

// FleetAt calls show with the machines after one and who was on them at a moment,
// until it returns false.
func (h *History) FleetAt(v *View, at roster.Time, after string, show func(name string, users []string) bool) error {
	for {
		f, err := h.fleet(v, at, after)
		if err != nil {
			return err
		}
		going := true
		err = f.Machines(v, after, func(name string, users []string) bool {
			going = show(name, users)
			return going
		})
		if err != nil || !going || !f.More {
			return err
		}
		after = f.last
	}
}
