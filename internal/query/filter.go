package query

import (
	"errors"
	"iter"
	"slices"
	"sort"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// checkFilter checks and parses the filter.
func (q *reportRequest) checkFilter() (err error) {
	if err := checkNames(q.Names); err != nil {
		return err
	}
	q.names = sortedNames(q.Names)
	if err := checkGlob(q.Machines); err != nil || q.SilentFor == "" {
		return err
	}
	q.silentFor, err = time.ParseDuration(q.SilentFor)
	if err != nil || q.silentFor <= 0 {
		return errors.New("silent_for: want a number above 0 with a unit, such as 90s or 1h30m")
	}
	return nil
}

func checkGlob(pattern string) error {
	if pattern == "" {
		return nil
	}
	return checkName("machines", pattern)
}

// matches reports whether a machine matches the filter, without regard to its users.
func (q *reportRequest) matches(v roster.View, now time.Time) bool {
	return api.Matches(q.Machines, v.Name()) && q.isNamed(v.Name()) &&
		(q.silentFor == 0 || v.Heard() < roster.TimeOf(now).Add(-q.silentFor))
}

// isNamed reports whether a machine is among those that the request names, if it names
// any.
func (q *reportRequest) isNamed(machine string) bool {
	_, found := slices.BinarySearch(q.names, machine)
	return q.names == nil || found
}

// rows yields, in order, the machines after the given one that match the filter. It
// collects atOnce machines at a time, and none of them is locked while it yields.
func (q *reportRequest) rows(r *roster.Roster, after string, now time.Time, atOnce int) iter.Seq[report.Row] {
	return func(yield func(report.Row) bool) {
		for {
			rows := make([]report.Row, 0, atOnce)
			for v := range q.machines(r, after) {
				if q.matches(v, now) {
					rows = append(rows, report.RowOf(v, report.Row{}))
				}
				if len(rows) == atOnce {
					break
				}
			}
			for _, m := range q.filterUsers(r, rows) {
				if !yield(m) {
					return
				}
			}
			if len(rows) < atOnce {
				return
			}
			after = rows[len(rows)-1].Name
		}
	}
}

// machines yields, in order, those that the request names, or all, after one.
func (q *reportRequest) machines(r *roster.Roster, after string) iter.Seq[roster.View] {
	if q.names == nil {
		return r.Machines(after)
	}
	return func(yield func(roster.View) bool) {
		for more, i := true, sort.SearchStrings(q.names, after+"\x00"); more && i < len(q.names); i++ {
			r.Machine(q.names[i], func(v roster.View) { more = !v.Shown() || yield(v) })
		}
	}
}

// filterUsers returns the rows with only the users that match the filter.
func (q *reportRequest) filterUsers(r *roster.Roster, rows []report.Row) []report.Row {
	if !q.OnSeveral {
		return rows
	}
	var users []string
	for i := range rows {
		users = append(users, rows[i].Users...)
	}
	several := r.OnSeveral(users)
	var filtered []report.Row
	for _, m := range rows {
		of := several[:len(m.Users)]
		several = several[len(m.Users):]
		i := -1
		m.Users = slices.DeleteFunc(slices.Clone(m.Users), func(string) bool { i++; return !of[i] })
		if len(m.Users) > 0 {
			filtered = append(filtered, m)
		}
	}
	return filtered
}
