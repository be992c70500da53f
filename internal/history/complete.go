package history

import (
	"rollcall/internal/roster"
)

// Gap is a span in which a machine may lack stays, with the reason.
type Gap struct {
	Machine string
	// From is inclusive; Until is not, and endOfTime while it goes on.
	From, Until roster.Time
	Reason      string
}

// gapsWhere selects the gaps that overlap ?1 to ?2.
const gapsWhere = ` from doubts d where d.since <= ?2 and (d.until is null or d.until > ?1)`

// GapsOf returns the gaps of a machine that overlap a span; both bounds are
// inclusive.
func (v *View) GapsOf(name string, from, to roster.Time) ([]Gap, error) {
	id, err := v.machineID(name)
	if err != nil || id == 0 {
		return nil, err
	}
	q, err := prepared(v.c, "select d.machine, d.since, d.until, d.reason"+gapsWhere+" and d.machine = +?3 order by d.since", from, to, id)
	if err != nil {
		return nil, err
	}
	return v.gaps(q)
}

// Gaps returns how many machines have gaps that overlap a span, and the first of the
// gaps, at most limit.
func (v *View) Gaps(from, to roster.Time, limit int) (machines int, first []Gap, err error) {
	q, err := prepared(v.c, "select count(distinct d.machine)"+gapsWhere, from, to)
	if err != nil {
		return 0, nil, err
	}
	for q.next() {
		machines = q.ColumnInt(0)
	}
	if q.err != nil || machines == 0 {
		return 0, nil, q.err
	}
	if q, err = prepared(v.c, "select d.machine, d.since, d.until, d.reason"+gapsWhere+" order by d.machine, d.since limit ?3", from, to, limit); err != nil {
		return 0, nil, err
	}
	first, err = v.gaps(q)
	return machines, first, err
}

func (v *View) gaps(q *query) ([]Gap, error) {
	var list []Gap
	for q.next() {
		name, err := v.machineName(q.ColumnInt64(0))
		if err != nil {
			_ = q.Reset()
			return nil, err
		}
		g := Gap{Machine: name, From: q.time(1), Until: q.time(2), Reason: q.ColumnText(3)}
		if g.Until == never {
			g.Until = endOfTime
		}
		list = append(list, g)
	}
	return list, q.err
}
