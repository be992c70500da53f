package history

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// The stays that were on at the moment ?1: of each class, only what began within its
// span before the moment is read. The planner would not choose the indexes by itself.
const (
	fromClasses = "classes c cross join "
	openOnAt    = " from open e where e.since <= ?1"
	endedOnAt   = " from " + fromClasses + "ended e where e.class = c.class and e.since > ?1 - c.span and e.since <= ?1 and e.ended > ?1"

	// These are read by scanStay. What an index has is read there: %[1]s is i; it is e where no index is read.
	stayColumns = "select %[1]s.machine, e.user, e.session, %[1]s.since, e.ended, e.how, e.unseen, e.detail"
	openColumns = "select e.machine, e.user, e.session, e.since, 0, 0, 0, e.detail"

	byUser, byMachine = "by_user", "by_machine"
)

// endedOf selects the stay of a key.
var endedOf = fmt.Sprintf(stayColumns, "e") + " from ended e where e.class = +? and e.since = +? and e.machine = +? and e.n = +?"

// onAt selects the stays that were on at the moment ?1, of the user or machine ?2.
func onAt(index, column string) [2]string {
	return [2]string{
		joinLevels(fmt.Sprintf(stayColumns, "i"), fromClasses, index, "left join",
			"i."+column+" = +?2 and i.class = c.class and i.since > ?1 - c.span and i.since <= ?1 and ifnull(e.ended > ?1, 1)"),
		openColumns + openOnAt + " and e." + column + " = +?2",
	}
}

var (
	onMachineAt = onAt(byMachine, "machine")
	onUserAt    = onAt(byUser, "user")
)

// scanStay reads the columns of a stay.
func (v *View) scanStay(q *query) (id int64, s Stay, err error) {
	s.Session = roster.Session{ID: q.ColumnText(2), Since: q.time(3)}
	s.Ended, s.How = q.time(4), Ending(q.ColumnInt(5))
	if q.ColumnInt(6) != 0 {
		s.Session.Since = Unknown
	}
	if s.Session.User, err = v.names.userName(q.ColumnInt64(1)); err == nil {
		err = v.names.fill(&s.Session, q.ColumnInt64(7))
	}
	return q.ColumnInt64(0), s, err
}

// on reads the stays that were on at a moment.
func (v *View) on(at roster.Time, statements [2]string, id int64) ([]MachineStay, error) {
	var list []MachineStay
	for _, statement := range statements {
		q, err := prepared(v.c, statement, at, id)
		if err != nil {
			return nil, err
		}
		for q.next() {
			if q.ColumnType(4) == sqlite.TypeNull {
				return nil, cmp.Or(q.Reset(), errNoStay)
			}
			machine, s, err := v.scanStay(q)
			if err != nil {
				_ = q.Reset()
				return nil, err
			}
			name, err := v.machineName(machine)
			if err != nil {
				_ = q.Reset()
				return nil, err
			}
			list = append(list, MachineStay{name, s})
		}
		if q.err != nil {
			return nil, q.err
		}
	}
	slices.SortFunc(list, func(a, b MachineStay) int {
		return cmp.Or(strings.Compare(a.Machine, b.Machine), strings.Compare(a.Session.User, b.Session.User), strings.Compare(a.Session.ID, b.Session.ID))
	})
	return list, nil
}

// OnMachine returns who was on a machine at a moment, by user and session. known is
// false if no event of the machine was ever accepted.
func (v *View) OnMachine(at roster.Time, name string) (list []MachineStay, known bool, err error) {
	id, err := v.machineID(name)
	if err != nil || id == 0 {
		return nil, false, err
	}
	list, err = v.on(at, onMachineAt, id)
	return list, true, err
}

// OnUser returns where a user was at a moment, by machine and session.
func (v *View) OnUser(at roster.Time, name string) ([]MachineStay, error) {
	id, err := v.userID(name)
	if err != nil || id == 0 {
		return nil, err
	}
	return v.on(at, onUserAt, id)
}
