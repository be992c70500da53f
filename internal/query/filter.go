package query

import (
	"errors"
	"iter"
	"slices"
	"time"

	"rollcall/internal/report"
	"rollcall/internal/roster"
)

// Filter says which part of the report is asked for; the zero value is all of
// it. What several fields say holds together.
type Filter struct {
	// Machines are those wanted: in it "*" is any text, "?" any one character,
	// and all else is itself.
	Machines string `json:"machines,omitzero"`
	// OnSeveral leaves only users who are on more than one machine.
	OnSeveral bool `json:"on_several,omitzero"`
	// SilentFor leaves only machines that were not heard from for so long: a
	// number with a unit, such as 90s or 1h30m.
	SilentFor string `json:"silent_for,omitzero"`

	silentFor time.Duration
}

func (f *Filter) check() (err error) {
	if err := checkGlob(f.Machines); err != nil || f.SilentFor == "" {
		return err
	}
	f.silentFor, err = time.ParseDuration(f.SilentFor)
	if err != nil || f.silentFor <= 0 {
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

// wants reports whether a machine may be in the part, whoever is on it.
func (f *Filter) wants(v roster.View, now time.Time) bool {
	return Matches(f.Machines, v.Name()) &&
		(f.silentFor == 0 || v.Heard() < roster.TimeOf(now).Add(-f.silentFor))
}

// rows yields what the filter leaves of the machines after one, in order. It
// looks at so many machines at a time, and holds none of them while it yields.
func (f *Filter) rows(r *roster.Roster, after string, now time.Time, atOnce int) iter.Seq[report.Row] {
	return func(yield func(report.Row) bool) {
		for {
			looked := make([]report.Row, 0, atOnce)
			for v := range r.Machines(after) {
				if f.wants(v, now) {
					looked = append(looked, report.Look(v, report.Row{}))
				}
				if len(looked) == atOnce {
					break
				}
			}
			for _, m := range f.leave(r, looked) {
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

// leave returns the rows with only the users that the filter leaves.
func (f *Filter) leave(r *roster.Roster, rows []report.Row) []report.Row {
	if !f.OnSeveral {
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
