package history

import (
	"cmp"
	"slices"
	"strings"

	"rollcall/internal/roster"
)

// Mark is a boot or a shutdown of a machine.
type Mark struct {
	Machine string
	Date    roster.Time
	Type    roster.Type
}

// compare orders marks by their dates.
func (m *Mark) compare(o *Mark) int {
	return cmp.Or(cmp.Compare(m.Date, o.Date), strings.Compare(m.Machine, o.Machine), cmp.Compare(m.Type, o.Type))
}

// insertMarks writes the boots and shutdowns.
func (r *rows) insertMarks(events []roster.Event) error {
	for i := range events {
		if t := events[i].Type; t == roster.Boot || t == roster.Shutdown {
			if err := exec(r.c, "insert or ignore into marks (machine, date, type) values (?, ?, ?)", r.machine, events[i].Date, int(t)); err != nil {
				return err
			}
		}
	}
	return nil
}

// Marks returns the boots and shutdowns of the machines that a filter names, whatever else
// it selects, that are dated from one moment to another, both inclusive: the newest, at most
// so many, the newest first. more says that there are others before them.
func (v *View) Marks(f *Filter, from, to roster.Time, most int) (list []Mark, more bool, err error) {
	for _, name := range f.Machines {
		if f.Match != nil && !f.Match(name) {
			continue
		}
		if list, err = v.appendMarks(list, name, from, to, most+1); err != nil {
			return nil, false, err
		}
		slices.SortFunc(list, func(a, b Mark) int { return b.compare(&a) })
		//guard:false "an answer has no more boots than asked for" TestView
		if len(list) > most {
			list, more = list[:most], true
			from = list[most-1].Date // older ones are not among the newest
		}
	}
	return list, more, nil
}

// appendMarks appends the newest marks of a machine, at most so many.
func (v *View) appendMarks(list []Mark, name string, from, to roster.Time, most int) ([]Mark, error) {
	id, err := v.machineID(name)
	if err != nil || id == 0 {
		return list, err
	}
	q, err := prepared(v.c, "select date, type from marks where machine = +?1 and date between +?2 and +?3 order by date desc, type desc limit 0 + ?4",
		id, from, to, most)
	if err != nil {
		return nil, err
	}
	for q.next() {
		list = append(list, Mark{name, q.time(0), roster.Type(q.ColumnInt(1))})
	}
	return list, q.err
}
