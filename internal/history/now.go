package history

import (
	"context"
	"errors"
	"slices"
	"time"

	"rollcall/internal/roster"
)

// ErrBehind says that the history has not caught up with the roster.
var ErrBehind = errors.New("the history has not caught up with the roster")

// Now calls show with the history as it is written. It does not wait for what was
// folded since, and ends with an error after some time: an answer about now never waits
// for the history.
func (h *History) Now(ctx context.Context, within time.Duration, show func(*View) error) error {
	if h.Behind() {
		return ErrBehind
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	select {
	case r := <-h.readers:
		defer func() { h.readers <- r }()
		return h.view(ctx, r, show)
	case <-ctx.Done():
		return ErrBusy
	}
}

// Behind reports whether the history is catching up with the roster.
func (h *History) Behind() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.behind || h.catching
}

// Fed returns the place up to which the history was given events.
func (h *History) Fed() uint64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.fed
}

// KnowsUser reports whether an event ever told of a user. It also returns true if it
// can't find out in time.
func (h *History) KnowsUser(ctx context.Context, within time.Duration, name string) bool {
	if h.isQueued(name) {
		return true
	}
	known := true
	err := h.Now(ctx, within, func(v *View) (err error) {
		known, err = v.KnowsUser(name)
		return err
	})
	return known || err != nil
}

// isQueued reports whether an event that is not written yet tells of a user.
func (h *History) isQueued(name string) bool {
	h.mu.Lock()
	queue := slices.Clone(h.queue)
	h.mu.Unlock()
	for _, b := range queue {
		for i := range b.events {
			e := &b.events[i]
			if e.Session.User == name || slices.ContainsFunc(e.Sessions, func(s roster.Session) bool { return s.User == name }) {
				return true
			}
		}
	}
	return false
}

// KnowsUser reports whether an event ever told of a user.
func (v *View) KnowsUser(name string) (bool, error) {
	id, err := v.userID(name)
	return id != 0, err
}

// KnowsMachine reports whether an event of a machine was ever accepted.
func (v *View) KnowsMachine(name string) (bool, error) {
	id, err := v.machineID(name)
	return id != 0, err
}

// UserNames calls show with the name of each user that an event told of, in no order.
func (v *View) UserNames(show func(name string)) error {
	return v.eachName("select name from users", show)
}

// MachineNames calls show with the name of each machine of which an event was accepted, in
// no order.
func (v *View) MachineNames(show func(name string)) error {
	return v.eachName("select name from machines", show)
}

func (v *View) eachName(statement string, show func(name string)) error {
	q, err := prepared(v.c, statement)
	if err != nil {
		return err
	}
	for q.next() {
		show(q.ColumnText(0))
	}
	return q.err
}

// Heard reports whether a machine is one of those that FleetAt has at a moment.
func (v *View) Heard(at roster.Time, name string, silent roster.Time) (heard bool, err error) {
	q, err := prepared(v.c, `select 1 from machines where name = ?3 and first <= ?1
		and (newest >= ?2 or exists (select 1 from open e where e.machine = machines.id))`, at, silent, name)
	if err != nil {
		return false, err
	}
	for q.next() {
		heard = true
	}
	return heard, q.err
}

// OpenOn returns the stays that are open on a machine.
func (v *View) OpenOn(name string) ([]MachineStay, error) {
	id, err := v.machineID(name)
	if err != nil || id == 0 {
		return nil, err
	}
	return v.open(" where e.machine = +?", id)
}

// OpenOf returns a user's stays that are open.
func (v *View) OpenOf(name string) ([]MachineStay, error) {
	id, err := v.userID(name)
	if err != nil || id == 0 {
		return nil, err
	}
	return v.open(" where e.user = +?", id)
}

func (v *View) open(where string, id int64) (list []MachineStay, err error) {
	q, err := prepared(v.c, openNamed+where, id)
	if err != nil {
		return nil, err
	}
	err = v.eachOpen(q, func(roster.Time) bool { return true }, func(s *MachineStay) { list = append(list, *s) })
	return list, err
}

// AllOpen calls show with each stay that is open and whose beginning is wanted, in no
// order.
func (v *View) AllOpen(wanted func(since roster.Time) bool, show func(*MachineStay)) error {
	q, err := prepared(v.c, openNamed)
	if err != nil {
		return err
	}
	return v.eachOpen(q, wanted, show)
}

// openNamed selects the stays that are open, each with the name of its machine: there may be
// more machines than names are remembered.
const openNamed = openColumns + ", m.name from open e cross join machines m on m.id = e.machine"

func (v *View) eachOpen(q *query, wanted func(since roster.Time) bool, show func(*MachineStay)) error {
	for q.next() {
		if !wanted(q.time(3)) {
			continue
		}
		_, s, err := v.scanStay(q)
		if err != nil {
			_ = q.Reset()
			return err
		}
		show(&MachineStay{q.ColumnText(8), s})
	}
	return q.err
}
