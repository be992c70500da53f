package history

import (
	"slices"

	"rollcall/internal/roster"
)

// Gap is a span in which a machine may lack stays, with the reason.
type Gap struct {
	Machine string
	// From is inclusive; Until is not, and endOfTime while it goes on.
	From, Until roster.Time
	Reason      string
}

// Open reports whether the gap goes on.
func (g *Gap) Open() bool { return g.Until == endOfTime }

// Gaps are the gaps of the machines that a question is about.
type Gaps struct {
	// Machines is how many machines have gaps; Reasons has each reason once; First,
	// the first few gaps.
	Machines int
	Reasons  []string
	First    []Gap
}

// MaxGaps is how many gaps Gaps has at most.
const MaxGaps = 20

// add adds a gap of a machine, after those of other machines.
func (g *Gaps) add(gap *Gap, another bool) {
	if another {
		g.Machines++
	}
	if !slices.Contains(g.Reasons, gap.Reason) {
		g.Reasons = append(g.Reasons, gap.Reason)
	}
	if len(g.First) < MaxGaps {
		g.First = append(g.First, *gap)
	}
}

const (
	gapColumns = "select m.name, d.since, d.until, d.reason"
	// gapsWhere selects the gaps that overlap ?1 to ?2.
	gapsWhere = ` from doubts d cross join machines m on m.id = d.machine where d.since <= ?2 and (d.until is null or d.until > ?1)`
)

// GapsOf returns the gaps of a machine that overlap a span; both bounds are
// inclusive.
func (v *View) GapsOf(name string, from, to roster.Time) ([]Gap, error) {
	id, err := v.machineID(name)
	if err != nil || id == 0 {
		return nil, err
	}
	q, err := prepared(v.c, gapColumns+gapsWhere+" and d.machine = +?3 order by d.since", from, to, id)
	if err != nil {
		return nil, err
	}
	var list []Gap
	err = eachGap(q, func(g *Gap) { list = append(list, *g) })
	return list, err
}

// GapsOn returns the gaps of the machines that a filter selects, whatever else it
// selects, that overlap a span.
func (v *View) GapsOn(f *Filter, from, to roster.Time) (Gaps, error) {
	switch {
	case f.Machines != nil:
		return v.gapsOfNames(f, from, to)
	case f.Match != nil:
		return v.gapsOfMatching(f.Match, from, to)
	}
	return v.gapsOfAll(from, to)
}

func (v *View) gapsOfNames(f *Filter, from, to roster.Time) (gaps Gaps, err error) {
	for _, name := range f.Machines {
		if f.Match != nil && !f.Match(name) {
			continue
		}
		list, err := v.GapsOf(name, from, to)
		if err != nil {
			return gaps, err
		}
		for i := range list {
			gaps.add(&list[i], i == 0)
		}
	}
	return gaps, nil
}

func (v *View) gapsOfMatching(match func(string) bool, from, to roster.Time) (gaps Gaps, err error) {
	q, err := prepared(v.c, gapColumns+gapsWhere+" order by d.machine, d.since", from, to)
	if err != nil {
		return gaps, err
	}
	last := ""
	err = eachGap(q, func(g *Gap) {
		if match(g.Machine) {
			gaps.add(g, g.Machine != last)
			last = g.Machine
		}
	})
	return gaps, err
}

// gapsOfAll only counts machines: after a loss every machine has a gap. SQLite would count
// different machines in a temporary table, of some MB for a large fleet.
func (v *View) gapsOfAll(from, to roster.Time) (gaps Gaps, err error) {
	const open, closed = " from doubts where until is null and since <= ?2", " from doubts where until > ?1 and since <= ?2"
	err = each(v.c, func(q *query) { gaps.Reasons = append(gaps.Reasons, q.ColumnText(0)) },
		"select reason"+open+" union select reason"+closed, from, to)
	if err != nil || len(gaps.Reasons) == 0 {
		return gaps, err
	}
	slices.Sort(gaps.Reasons)
	var counted []bool // by the machine's number
	err = each(v.c, func(q *query) {
		n := q.ColumnInt(0)
		if more := n + 1 - len(counted); more > 0 {
			counted = append(counted, make([]bool, more)...)
		}
		if !counted[n] {
			counted[n] = true
			gaps.Machines++
		}
	}, "select machine"+open+" union all select machine"+closed, from, to)
	if err != nil {
		return gaps, err
	}
	q, err := prepared(v.c, gapColumns+gapsWhere+" order by d.machine, d.since limit 0 + ?3", from, to, MaxGaps)
	if err != nil {
		return gaps, err
	}
	err = eachGap(q, func(g *Gap) { gaps.First = append(gaps.First, *g) })
	return gaps, err
}

// eachGap calls show with each gap that a statement selects.
func eachGap(q *query, show func(*Gap)) error {
	for q.next() {
		g := Gap{Machine: q.ColumnText(0), From: q.time(1), Until: q.time(2), Reason: q.ColumnText(3)}
		if g.Until == never {
			g.Until = endOfTime
		}
		show(&g)
	}
	return q.err
}

// Hidden returns the reason of the last loss while it may hide machines that nobody
// has heard of; "" otherwise. Such a machine would have sent an event within the
// allowed lateness.
func (v *View) Hidden(s roster.Settings) (reason string, err error) {
	if v.Loss == 0 || v.Resumed != 0 && v.Receipt > v.Resumed.Add(s.AllowedLateness) {
		return "", nil
	}
	q, err := prepared(v.c, "select reason from losses where place = ?", v.Loss)
	if err != nil {
		return "", err
	}
	for q.next() {
		reason = q.ColumnText(0)
	}
	return reason, q.err
}
