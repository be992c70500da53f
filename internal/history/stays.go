package history

import (
	"cmp"
	"container/heap"
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
)

// Filter selects stays: those that satisfy all of its fields that are set.
type Filter struct {
	// Machines are names; nil: any. At most MaxMachines.
	Machines []string
	// Match, if not nil, reports whether a machine is selected.
	Match                 func(machine string) bool
	User, Remote, Service string
}

// MaxMachines is how many machines a filter may name.
const MaxMachines = 300

// Span asks for the stays that overlap a span of time, in the order of their
// beginnings.
type Span struct {
	Filter
	// From and To are both inclusive.
	From, To roster.Time
	// Oldest asks for the earliest first, otherwise the latest come first.
	Oldest bool
	// Limit is how many stays the answer may have at most.
	Limit int
	// After is the key of the last stay of the answer before; nil: from the
	// beginning.
	After *StayKey
}

// StayKey orders stays: by beginning, then by what makes them differ. It stays the same
// as long as the stay does.
type StayKey struct {
	Since   roster.Time
	Machine int64
	Class   int
	N       int64
	// Of one that is open.
	Session string
	User    int64
}

// openClass is the class in the key of a stay that is open.
const openClass = 64

func (k *StayKey) compare(o *StayKey) int {
	return cmp.Or(cmp.Compare(k.Since, o.Since), cmp.Compare(k.Machine, o.Machine), cmp.Compare(k.Class, o.Class),
		cmp.Compare(k.N, o.N), strings.Compare(k.Session, o.Session), cmp.Compare(k.User, o.User))
}

// maxRead is how many stays one question reads at most. When they are read, the
// answer has those of them that it asked for, and a key to go on after.
const maxRead = 200_000

// Stays returns the stays of a span, at most Limit, and the key to go on after; nil if
// there are no more. The list may be shorter than the limit, or empty, although there
// are more.
func (v *View) Stays(s *Span) (list []MachineStay, next *StayKey, err error) {
	m := &merge{view: v, span: s}
	defer m.close()
	switch any, err := m.open(); {
	case err != nil || !any:
		return nil, nil, err
	}
	for read := 0; len(m.lanes) > 0; read++ {
		l := m.lanes[0]
		if len(list) == s.Limit || read == maxRead {
			return list, m.last, nil
		}
		stay, wanted, err := m.take(l)
		if err != nil {
			return nil, nil, err
		}
		if wanted {
			list = append(list, stay)
		}
		if err := m.advance(); err != nil {
			return nil, nil, err
		}
	}
	return list, nil, nil
}

// merge merges the stays of all classes, each of which an index has in order.
type merge struct {
	view  *View
	span  *Span
	lanes []*lane // a heap
	last  *StayKey
}

// lane is one class, with its next stay.
type lane struct {
	*query
	class int
	key   StayKey
}

func (m *merge) Len() int { return len(m.lanes) }
func (m *merge) Less(i, j int) bool {
	n := m.lanes[i].key.compare(&m.lanes[j].key)
	if m.span.Oldest {
		return n < 0
	}
	return n > 0
}
func (m *merge) Swap(i, j int) { m.lanes[i], m.lanes[j] = m.lanes[j], m.lanes[i] }
func (m *merge) Push(any)      {}
func (m *merge) Pop() any {
	last := m.lanes[len(m.lanes)-1]
	m.lanes = m.lanes[:len(m.lanes)-1]
	return last
}

func (m *merge) close() {
	for _, l := range m.lanes {
		_ = l.Reset()
	}
}

// open opens a lane for each class. It reports whether there can be any stays.
func (m *merge) open() (bool, error) {
	by, err := m.find()
	if err != nil || by == nil {
		return false, err
	}
	for _, c := range append(slices.Clone(m.view.classes), class{number: openClass}) {
		text, args := m.statement(c, by)
		q, err := prepared(m.view.c, text, args...)
		if err != nil {
			return false, err
		}
		l := &lane{query: q, class: c.number}
		for more := l.next(); more; more = l.next() {
			l.read()
			if m.after(&l.key) {
				m.lanes = append(m.lanes, l)
				break
			}
		}
		if l.err != nil {
			return false, l.err
		}
	}
	heap.Init(m)
	return true, nil
}

// after reports whether a key comes after the one to go on after.
func (m *merge) after(k *StayKey) bool {
	if m.span.After == nil {
		return true
	}
	n := k.compare(m.span.After)
	return n > 0 && m.span.Oldest || n < 0 && !m.span.Oldest
}

// found is how stays are found: by an index of the ended ones, in a statement's terms.
type found struct {
	index, source, where string
	args                 []any
}

// find returns how the stays are found; nil if there are none.
func (m *merge) find() (*found, error) {
	s := m.span
	by := &found{}
	if s.User != "" {
		user, err := m.view.userID(s.User)
		if err != nil || user == 0 {
			return nil, err
		}
		by.index = " indexed by ended_by_user"
		by.where, by.args = " and e.user = ?", []any{user}
	}
	if s.Machines == nil {
		return by, nil
	}
	by.index = " indexed by ended_by_machine"
	var ids []int64
	for _, name := range s.Machines {
		id, err := m.view.machineID(name)
		if err != nil {
			return nil, err
		}
		if id != 0 {
			ids = append(ids, id)
		}
	}
	switch len(ids) {
	case 0:
		return nil, nil
	case 1:
		by.where += " and e.machine = ?"
		by.args = append(by.args, ids[0])
	default:
		list, err := json.Marshal(ids)
		if err != nil {
			return nil, err
		}
		by.source = "json_each(?) j cross join "
		by.where += " and e.machine = j.value"
		by.args = append([]any{string(list)}, by.args...)
	}
	return by, nil
}

// statement returns the statement of a lane, and its arguments. Each lane has a
// statement of its own, since they are read in turns.
func (m *merge) statement(c class, by *found) (string, []any) {
	s := m.span
	first, last, order := roster.Time(0), s.To, "desc"
	if s.Oldest {
		order = "asc"
	}
	if s.After != nil && s.Oldest {
		first = s.After.Since
	} else if s.After != nil {
		last = min(last, s.After.Since)
	}
	table, columns, key := "ended e"+by.index, endedColumns+", e.n", "e.n"
	if c.number == openClass {
		table, columns, key = "open e", openColumns+", 0", "e.session "+order+", e.user"
	}
	text := columns + " from " + by.source + table + " where true" + by.where
	args := slices.Clone(by.args)
	if c.number != openClass {
		text += fmt.Sprintf(" and e.class = %d and (e.since >= ? or e.ended > ?)", c.number)
		args = append(args, s.From, s.From)
		first = max(first, s.From-c.span+1)
	}
	text += " and e.since between ? and ?"
	args = append(args, first, last)
	return text + fmt.Sprintf(" order by e.since %[1]s, e.machine %[1]s, %[2]s %[1]s", order, key), args
}

// read reads the key of the lane's row.
func (l *lane) read() {
	l.key = StayKey{Since: l.time(3), Machine: l.ColumnInt64(0), Class: l.class, N: l.ColumnInt64(8)}
	if l.class == openClass {
		l.key.Session, l.key.User = l.ColumnText(2), l.ColumnInt64(1)
	}
}

// take reads the stay of the first lane, and whether it is wanted.
func (m *merge) take(l *lane) (stay MachineStay, wanted bool, err error) {
	key := l.key
	m.last = &key
	id, s, err := m.view.scanStay(l.query)
	if err != nil {
		return stay, false, err
	}
	f := &m.span.Filter
	if f.Remote != "" && s.Session.Remote != f.Remote || f.Service != "" && s.Session.Service != f.Service {
		return stay, false, nil
	}
	name, err := m.view.machineName(id)
	return MachineStay{name, s}, err == nil && (f.Match == nil || f.Match(name)), err
}

// advance moves the first lane to its next row.
func (m *merge) advance() error {
	l := m.lanes[0]
	if l.next() {
		l.read()
		heap.Fix(m, 0)
		return nil
	}
	heap.Pop(m)
	return l.err
}
