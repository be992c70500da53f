package query

import (
	"errors"
	"iter"
	"slices"
	"time"

	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// checkFilter checks and parses the filter.
func (q *reportRequest) checkFilter() (err error) {
	if err := checkNames(q.Names); err != nil {
		return err
	}
	if err := checkGlob(q.Machines); err != nil {
		return err
	}
	q.asked = selectionOf(q.Names, q.Machines, false)
	if q.SilentFor == "" {
		return nil
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
	return q.asked.selects(v.Name()) && (q.silentFor == 0 || v.Heard() < roster.TimeOf(now).Add(-q.silentFor))
}

// rows yields, in order, the machines after the given one that match the filter. It
// collects atOnce machines at a time, and none of them is locked while it yields.
func (q *reportRequest) rows(r *roster.Roster, after string, now time.Time, atOnce int) iter.Seq[report.Row] {
	return func(yield func(report.Row) bool) {
		for {
			rows := make([]report.Row, 0, atOnce)
			for v := range q.asked.machines(r, after) {
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
