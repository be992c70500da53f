package client

import (
	"fmt"
	"slices"
	"time"

	"rollcall/internal/api"
)

// Difference is what changed on one machine, and who is logged in since.
type Difference struct {
	When    time.Time `json:"when"`
	Machine string    `json:"machine"`
	Place   uint64    `json:"place"`
	Came    []string  `json:"came"`
	Left    []string  `json:"left"`
	Users   []string  `json:"users"`

	// First marks the initial state.
	First bool `json:"-"`
}

// Update is a machine as it is now. It is valid until the callback returns, but its names
// and its lists of users never change, so they may be kept.
//
// Heard, and Incomplete after a loss, are as the last report or change told them. So a
// machine that was heard again may still have the old Heard.
type Update struct {
	api.Machine
	// When is when the service told of the machine, by its clock. Place is up to where the
	// users are known.
	When  time.Time
	Place uint64
	// Came and Left are the users who arrived and left, in byte order.
	Came, Left []string
	// First marks the initial state.
	First bool
	// Gone says that reports no longer show the machine.
	Gone bool
}

// ChangedError wraps the error of [Watch].Changed or Machine.
type ChangedError struct{ error }

// Unwrap returns the error of the callback.
func (e ChangedError) Unwrap() error { return e.error }

// state is what is known of the machines.
type state struct {
	machines map[string]*known
	// place is up to where all of the state is known; from and until are when the first
	// and the last page of the report were made, by the service's clock.
	place       uint64
	from, until time.Time
	complete    bool   // a report was read to its end
	report      uint32 // counts the reports
	silent      int    // how many machines are silent
	mismatches  int    // how many beats in a row counted otherwise
}

// known is a machine up to a place, and when the service told of it.
type known struct {
	api.Machine
	place  uint64
	when   int64  // in nanoseconds since 1970
	report uint32 // the last report that shows it
}

// isBefore reports whether the machine was told of before a time.
func (k *known) isBefore(t time.Time) bool { return k.when < t.UnixNano() }

// knownUntil returns the place up to which a machine is known.
func (m *Mirror) knownUntil(machine string) uint64 {
	if k := m.machines[machine]; k != nil {
		return max(m.place, k.place)
	}
	return m.place
}

// set sets what is known of a machine, and reports what is different. It keeps the list of
// users.
func (m *Mirror) set(to api.Machine, place uint64, when time.Time) error {
	k := m.machines[to.Name]
	isNew := k == nil
	if isNew {
		k = &known{Machine: api.Machine{Name: to.Name}}
		m.machines[to.Name] = k
	}
	k.place, k.when, k.report = place, when.UnixNano(), m.report
	u := Update{Machine: to, When: when, Place: place, Came: without(to.Users, k.Users), Left: without(k.Users, to.Users)}
	u.Name = k.Name
	if !isNew && len(u.Came)+len(u.Left) == 0 {
		u.Users = k.Users // so that a receiver's list stays the same
	}
	if !isNew && isSame(&k.Machine, &u.Machine) {
		return nil
	}
	m.countSilent(k.Silent, u.Silent)
	k.Machine = u.Machine
	return m.reportUpdate(&u)
}

// setSilent sets what a beat says of a machine. It reports whether the beat knows a machine
// that the state lacks.
func (m *Mirror) setSilent(name string, when time.Time, silent bool) (unknown bool, err error) {
	k := m.machines[name]
	switch {
	case k == nil:
		return when.After(m.until) && api.Matches(m.Machines, name), nil
	//guard:false "a beat does not undo what was told after it" TestMirrorBeats
	case !k.isBefore(when):
		return false, nil
	}
	k.when = when.UnixNano()
	if k.Silent == silent {
		return false, nil
	}
	m.countSilent(k.Silent, silent)
	k.Silent = silent
	return false, m.reportUpdate(&Update{Machine: k.Machine, When: when, Place: k.place})
}

// setGone removes a machine that reports no longer show, as a beat says. It reports whether
// the state has users of it, so that it is not what the service has.
func (m *Mirror) setGone(name string, when time.Time) (unknown bool, err error) {
	k := m.machines[name]
	switch {
	case k == nil || !k.isBefore(when):
		return false, nil
	case len(k.Users) > 0:
		return true, nil
	}
	return false, m.remove(k, k.place, when)
}

// remove removes a machine. Users who were on it have left.
func (m *Mirror) remove(k *known, place uint64, when time.Time) error {
	delete(m.machines, k.Name)
	m.countSilent(k.Silent, false)
	u := Update{Machine: k.Machine, When: when, Place: place, Left: k.Users, Gone: true}
	u.Users = nil
	return m.reportUpdate(&u)
}

func (m *Mirror) countSilent(was, is bool) {
	if was {
		m.silent--
	}
	if is {
		m.silent++
	}
}

// countDiffers reports whether the state must be requested again because the service counts
// another number of silent machines: at the first beat that does, and then at the second,
// the fourth and so on, so that a lasting difference does not load the service.
func (m *Mirror) countDiffers(silentMachines int) bool {
	//guard:false "a watcher that counts other silent machines asks again" TestMirrorCount
	if m.silent != silentMachines {
		m.mismatches++
		return m.mismatches&(m.mismatches-1) == 0
	}
	m.mismatches = 0
	return false
}

// reportUpdate calls the callbacks.
func (m *Mirror) reportUpdate(u *Update) (err error) {
	u.First = !m.complete
	if m.Changed != nil && len(u.Came)+len(u.Left) > 0 {
		err = m.Changed(&Difference{
			When: u.When, Machine: u.Name, Place: u.Place, Came: u.Came, Left: u.Left, Users: u.Users, First: u.First,
		})
	}
	if m.Machine != nil && err == nil {
		err = m.Machine(u)
	}
	if err != nil {
		return ChangedError{fmt.Errorf("printing: %w", err)}
	}
	return nil
}

// isSame reports whether two states of a machine are equal.
func isSame(a, b *api.Machine) bool {
	return a.Heard.Equal(b.Heard) && a.Changed.Equal(b.Changed) && a.Silent == b.Silent &&
		a.Incomplete == b.Incomplete && a.Missing == b.Missing && slices.Equal(a.Users, b.Users)
}

// without returns the names of a that are not in b. Both are in byte order.
func without(a, b []string) (rest []string) {
	for _, name := range a {
		if _, found := slices.BinarySearch(b, name); !found {
			rest = append(rest, name)
		}
	}
	return rest
}

// reading is a report that is being read into the state, page by page: a copy of a large
// fleet would not fit in memory beside it.
type reading struct {
	m    *Mirror
	head api.Head // of the first page; complete if all pages are
	// last may go on at the beginning of the next page. It is known as of the page where
	// it began.
	last  api.Machine
	place uint64
	when  time.Time
}

// read begins to read a report.
func (m *Mirror) read() *reading {
	if m.machines == nil {
		m.machines = make(map[string]*known)
	}
	m.report++
	return &reading{m: m}
}

// add adds a page.
func (r *reading) add(page *api.Report) error {
	r.addHead(page)
	for _, machine := range page.Machines {
		if machine.Name == r.last.Name {
			machine.Users = append(r.last.Users, machine.Users...)
			r.last = machine
			continue
		}
		if err := r.setLast(); err != nil {
			return err
		}
		r.last, r.place, r.when = machine, page.Place, page.When
	}
	return nil
}

// addHead adds the head of a page.
func (r *reading) addHead(page *api.Report) {
	r.m.until = page.When
	if r.head.Stream == "" {
		r.m.from = page.When
		r.head = api.Head{
			When: page.When, Stream: page.Stream, Sequence: page.Sequence, Place: page.Place,
			Complete: page.Complete, Reasons: page.Reasons,
			Unsettled: page.Unsettled, SettlesAfter: page.SettlesAfter, CompleteAfter: page.CompleteAfter,
		}
		return
	}
	r.head.Complete = r.head.Complete && page.Complete
	for _, reason := range page.Reasons {
		if !slices.Contains(r.head.Reasons, reason) {
			r.head.Reasons = append(r.head.Reasons, reason)
		}
	}
}

// setLast sets the last machine, which is complete.
func (r *reading) setLast() error {
	if r.last.Name == "" {
		return nil
	}
	return r.m.set(r.last, r.place, r.when)
}

// finish ends a report that was read to its end: other machines are gone.
func (r *reading) finish() error {
	if err := r.setLast(); err != nil {
		return err
	}
	m := r.m
	var gone []string
	for name, k := range m.machines {
		if k.report != m.report {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	m.place = r.head.Place
	for _, name := range gone {
		if err := m.remove(m.machines[name], m.place, time.Now()); err != nil {
			return err
		}
	}
	m.complete = true
	if m.Head != nil {
		m.Head(r.head)
	}
	return nil
}

// maxInstances bounds the processes whose numbers are remembered: there is a new one with
// each start of the service.
const maxInstances = 16

// numbers are the numbers of the last messages, by the instance that published them.
type numbers map[string]uint64

// next remembers the number of a message. It reports whether messages before it may have
// been missed, and whether it is not the first with its number.
func (n *numbers) next(instance string, number uint64) (missed, repeated bool) {
	if instance == "" || number == 0 {
		return false, false
	}
	last, known := (*n)[instance]
	others := len(*n) > 0
	if *n == nil || len(*n) == maxInstances && !known {
		*n = make(numbers)
	}
	(*n)[instance] = max(last, number)
	if !known {
		return others, false
	}
	return number > last+1, number <= last
}
