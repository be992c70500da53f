package query

import (
	"errors"
	"iter"
	"slices"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// checkFilter checks and parses the filter.
func (q *reportRequest) checkFilter() (err error) {
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

// matches reports whether the filter lets a machine through, apart from its users.
func (q *reportRequest) matches(v roster.View, now time.Time) bool {
	return api.Matches(q.Machines, v.Name()) &&
		(q.silentFor == 0 || v.Heard() < roster.TimeOf(now).Add(-q.silentFor))
}

// rows yields, in order, what the filter lets through of the machines after one.
// It collects atOnce machines at a time, and holds none of them while it yields.
func (q *reportRequest) rows(r *roster.Roster, after string, now time.Time, atOnce int) iter.Seq[report.Row] {
	return func(yield func(report.Row) bool) {
		for {
			looked := make([]report.Row, 0, atOnce)
			for v := range r.Machines(after) {
				if q.matches(v, now) {
					looked = append(looked, report.RowOf(v, report.Row{}))
				}
				if len(looked) == atOnce {
					break
				}
			}
			for _, m := range q.filterUsers(r, looked) {
				if !yield(m) {
					return
				}
			}
			if len(looked) < atOnce {
				return
			}
			after = looked[len(looked)-1].Name
		}
	}
}

// filterUsers returns the rows with only the users that the filter lets through.
func (q *reportRequest) filterUsers(r *roster.Roster, rows []report.Row) []report.Row {
	if !q.OnSeveral {
		return rows
	}
	var users []string
	for i := range rows {
		users = append(users, rows[i].Users...)
	}
	several := r.OnSeveral(users)
	var left []report.Row
	for _, m := range rows {
		of := several[:len(m.Users)]
		several = several[len(m.Users):]
		i := -1
		m.Users = slices.DeleteFunc(slices.Clone(m.Users), func(string) bool { i++; return !of[i] })
		if len(m.Users) > 0 {
			left = append(left, m)
		}
	}
	return left
}
