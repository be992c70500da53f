package history

import (
	"cmp"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
)

// found is how stays are found, in a statement's terms.
type found struct {
	index  string // none if empty
	where  string // of the index's rows, and of the open stays
	args   []any  // its arguments, from ?3 on
	sorted bool   // the index has the stays of a class in order
}

// find returns how the stays are found; nil if there are none.
func (m *merge) find() (*found, error) {
	user := int64(0)
	if m.span.User != "" {
		var err error
		if user, err = m.view.userID(m.span.User); err != nil || user == 0 {
			return nil, err
		}
	}
	machines, err := m.machineIDs()
	switch {
	case err != nil || m.span.Machines != nil && len(machines) == 0:
		return nil, err
	case user == 0 && machines == nil:
		return &found{sorted: true}, nil
	case machines == nil:
		return &found{byUser, " and user = +?3", []any{user}, true}, nil
	case user == 0 && len(machines) == 1:
		return &found{byMachine, " and machine = +?3", []any{machines[0]}, true}, nil
	}
	list, err := json.Marshal(machines)
	if err != nil {
		return nil, err
	}
	const listed = " and machine in (select value from json_each(?3))"
	if user == 0 {
		return &found{byMachine, listed, []any{string(list)}, false}, nil
	}
	return &found{byUser, listed + " and user = +?4", []any{string(list), user}, true}, nil
}

// machineIDs returns the numbers of the machines asked for that are known.
func (m *merge) machineIDs() (ids []int64, err error) {
	for _, name := range m.span.Machines {
		id, err := m.view.machineID(name)
		if err != nil {
			return nil, err
		}
		if id != 0 {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// laneKind is all that the text of a lane's statement depends on.
type laneKind struct {
	class         int
	index, where  string
	oldest, after bool
	most          int
}

// laneTexts are the texts of the statements of lanes. Writing one takes half as long as running it.
var laneTexts sync.Map // laneKind: string

// statement returns the statement of a lane, and its arguments. Each lane has a
// statement of its own, since they are read in turns.
func (m *merge) statement(c class, by *found) (text string, args []any) {
	first, last := m.bounds(c)
	args = append([]any{first, last}, by.args...)
	a := m.span.After
	kind := laneKind{c.number, by.index, by.where, m.span.Oldest, a != nil && c.number != openClass, m.mostSorted()}
	known, ok := laneTexts.Load(kind)
	if !ok {
		known, _ = laneTexts.LoadOrStore(kind, m.text(c, by, len(args)))
	}
	if kind.after {
		args = append(args, a.Since, a.Machine, m.afterN(c, a))
	}
	return known.(string), args
}

// text returns the text of a lane's statement, for the arguments of all lanes, of which there are
// args. If the span begins after a key, its since, machine and n are the next three arguments.
func (m *merge) text(c class, by *found, args int) string {
	order := "desc"
	if m.span.Oldest {
		order = "asc"
	}
	if c.number == openClass {
		text := openColumns + ", 0 from open e where since between ?1 and ?2" + by.where + " order by 4 %[1]s, 1 %[1]s, 3 %[1]s, 2 %[1]s"
		return fmt.Sprintf(text, order)
	}
	after := ""
	if m.span.After != nil {
		than := "<"
		if m.span.Oldest {
			than = ">"
		}
		after = fmt.Sprintf(" and (since, machine, n) %s (?%d, ?%d, ?%d)", than, args+1, args+2, args+3)
	}
	text := ""
	if by.index == "" {
		text = fmt.Sprintf(stayColumns+", e.n from ended e where class = %d and since between ?1 and ?2", "e", c.number) + after + " order by 4 %[1]s, 1 %[1]s, 9 %[1]s"
	} else {
		text = m.byIndex(c, by, after)
	}
	return fmt.Sprintf(text, order)
}

// afterN returns the n to compare with where a span begins after a key: rows of a class with the
// since and machine of the key are in the span if they come after this n.
func (m *merge) afterN(c class, a *StayKey) int64 {
	if c.number == a.Class {
		return a.N
	}
	// All of its moment come after the key, or none.
	first := StayKey{Since: a.Since, Machine: a.Machine, Class: c.number}
	if after := first.compare(a, m.span.Oldest) > 0; after == m.span.Oldest {
		return -1
	}
	return math.MaxInt64
}

// bounds returns the first and last beginning that the stays of a class may have.
func (m *merge) bounds(c class) (first, last roster.Time) {
	s := m.span
	last = s.To
	if c.number != openClass {
		first = max(first, s.From-c.span+1)
	}
	switch {
	case s.After == nil:
	case s.Oldest:
		first = max(first, s.After.Since)
	default:
		last = min(last, s.After.Since)
	}
	return first, last
}

// mostSorted is how many stays are sorted at a time where no index has them in order.
const mostSorted = 20_000

func (m *merge) mostSorted() int { return cmp.Or(m.span.most, mostSorted) }

// byIndex returns the statement of a lane that reads an index, with %[1]s for its order. SQLite
// merges the levels of an index that has the stays in order, and sorts those of another.
func (m *merge) byIndex(c class, by *found, after string) string {
	var parts []string
	for level := range levels {
		parts = append(parts, fmt.Sprintf("select since, machine, n from %s%d where since between ?1 and ?2 and class = %d%s%s",
			by.index, level, c.number, by.where, after))
	}
	text := strings.Join(parts, "\nunion all ") + " order by 1 %[1]s, 2 %[1]s, 3 %[1]s"
	if !by.sorted {
		text += fmt.Sprintf(" limit %d", m.mostSorted())
	}
	return text
}
