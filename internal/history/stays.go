package history

import (
	"cmp"
	"container/heap"
	"fmt"
	"math"
	"strings"
	"sync"

	"github.com/go-json-experiment/json"

	"rollcall/internal/roster"
)

// Filter selects stays: those that satisfy all of its fields that are set.
type Filter struct {
	// Machines are names; nil: any. At most MaxMachines.
	Machines []string
	// Match, if not nil, reports whether a machine is selected.
	Match func(machine string) bool
	User  string
	// Accept, if not nil, reports whether a session is selected.
	Accept func(*roster.Session) bool
	// Open selects those that have not ended.
	Open bool
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

	most int // instead of mostSorted, in tests
}

// StayKey orders stays: by beginning, then by what makes them differ. When a stay ends its
// key changes; it then comes before those that are open and began on its machine at the
// same moment, so no stay is listed twice because it ended between two answers.
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

// compare compares the places of keys in an answer: those that are open are last of their
// moment in both orders.
func (k *StayKey) compare(o *StayKey, oldest bool) int {
	moment := cmp.Or(cmp.Compare(k.Since, o.Since), cmp.Compare(k.Machine, o.Machine))
	rest := cmp.Or(cmp.Compare(k.Class, o.Class), cmp.Compare(k.N, o.N), strings.Compare(k.Session, o.Session), cmp.Compare(k.User, o.User))
	if !oldest {
		moment, rest = -moment, -rest
	}
	//guard:drop "cmp.Compare(k.Class / openClass" "a stay that ends between two pages is not listed twice" TestPagesWhileWriting
	return cmp.Or(moment, cmp.Compare(k.Class/openClass, o.Class/openClass), rest)
}

// maxRead bounds the stays that one question reads. At the bound the answer has those
// read so far that match, and a key to continue from.
const maxRead = 200_000

// Stays returns at most Limit stays of a span, and the key after which the next call
// continues; nil if there are no more. The list may be shorter than the limit, or empty, although there
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
		switch complete, err := m.advance(); {
		case err != nil:
			return nil, nil, err
		case !complete:
			return list, m.last, nil
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

// lane is one class, with its next stay. If it reads an index it has the key alone.
type lane struct {
	*query
	class int
	keys  bool
	key   StayKey
	read  int // rows
	most  int // rows that it has at most: there may be more after them; 0: has all
}

func (m *merge) Len() int { return len(m.lanes) }
func (m *merge) Less(i, j int) bool {
	return m.lanes[i].key.compare(&m.lanes[j].key, m.span.Oldest) < 0
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
	classes := []class{{number: openClass}}
	if !m.span.Open {
		classes = append(classes, m.view.classes...)
	}
	for _, c := range classes {
		text, args := m.statement(c, by)
		q, err := prepared(m.view.c, text, args...)
		if err != nil {
			return false, err
		}
		l := &lane{query: q, class: c.number, keys: by.index != "" && c.number != openClass}
		if !by.sorted && c.number != openClass {
			l.most = m.mostSorted()
		}
		for more := l.next(); more; more = l.next() {
			l.readKey()
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
	return m.span.After == nil || k.compare(m.span.After, m.span.Oldest) > 0
}

// found is how stays are found, in a statement's terms.
type found struct {
	index  string // none if empty
	where  string // of the index's rows i
	open   string // of the open stays e
	args   []any  // of both, from ?3 on
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
		return &found{byUser, "i.user = +?3", " and e.user = +?3", []any{user}, true}, nil
	case user == 0 && len(machines) == 1:
		return &found{byMachine, "i.machine = +?3", " and e.machine = +?3", []any{machines[0]}, true}, nil
	}
	list, err := json.Marshal(machines)
	if err != nil {
		return nil, err
	}
	const listed = "machine in (select value from json_each(?3))"
	if user == 0 {
		return &found{byMachine, "i." + listed, " and e." + listed, []any{string(list)}, false}, nil
	}
	return &found{byUser, "i." + listed + " and i.user = +?4", " and e." + listed + " and e.user = +?4", []any{string(list), user}, true}, nil
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
		text := openColumns + ", 0 from open e where e.since between ?1 and ?2" + by.open + " order by 4 %[1]s, 1 %[1]s, 3 %[1]s, 2 %[1]s"
		return fmt.Sprintf(text, order)
	}
	after := ""
	if m.span.After != nil {
		than := "<"
		if m.span.Oldest {
			than = ">"
		}
		after = fmt.Sprintf(" and (i.since, i.machine, i.n) %s (?%d, ?%d, ?%d)", than, args+1, args+2, args+3)
	}
	text := ""
	if by.index == "" {
		text = fmt.Sprintf(strings.ReplaceAll(stayColumns, "e.", "i.")+", i.n from ended i where i.class = %d and i.since between ?1 and ?2", "i", c.number) +
			after + " order by 4 %[1]s, 1 %[1]s, 9 %[1]s"
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

// byIndex returns the statement of a lane that reads keys, with %[1]s for its order. The
// levels of an index that has its stays in order are merged; otherwise they are sorted.
func (m *merge) byIndex(c class, by *found, after string) string {
	var parts []string
	for level := range levels {
		parts = append(parts, fmt.Sprintf("select i.since, i.machine, i.n from %s%d i where i.since between ?1 and ?2 and i.class = %d and %s%s",
			by.index, level, c.number, by.where, after))
	}
	text := strings.Join(parts, "\nunion all ") + " order by 1 %[1]s, 2 %[1]s, 3 %[1]s"
	if !by.sorted {
		text += fmt.Sprintf(" limit %d", m.mostSorted())
	}
	return text
}

// readKey reads the key of the lane's row.
func (l *lane) readKey() {
	l.read++
	if l.keys {
		l.key = StayKey{Since: l.time(0), Machine: l.ColumnInt64(1), Class: l.class, N: l.ColumnInt64(2)}
		return
	}
	l.key = StayKey{Since: l.time(3), Machine: l.ColumnInt64(0), Class: l.class, N: l.ColumnInt64(8)}
	if l.class == openClass {
		l.key.Session, l.key.User = l.ColumnText(2), l.ColumnInt64(1)
	}
}

// take reads the stay of the first lane, and whether it is wanted.
func (m *merge) take(l *lane) (stay MachineStay, wanted bool, err error) {
	key := l.key
	m.last = &key
	id, s, err := m.stay(l)
	if err != nil {
		return stay, false, err
	}
	f := &m.span.Filter
	if s.How != NotEnded && s.Ended <= m.span.From && key.Since < m.span.From {
		return stay, false, nil
	}
	if f.Accept != nil && !f.Accept(&s.Session) {
		return stay, false, nil
	}
	name, err := m.view.machineName(id)
	return MachineStay{name, s}, err == nil && (f.Match == nil || f.Match(name)), err
}

// errNoStay says that an index has a key that no stay has.
var errNoStay = fmt.Errorf("an index has a session that is missing: %w", errCorrupt)

// stay reads the stay of a lane.
func (m *merge) stay(l *lane) (machine int64, s Stay, err error) {
	if !l.keys {
		return m.view.scanStay(l.query)
	}
	q, err := prepared(m.view.c, endedOf, l.key.Class, l.key.Since, l.key.Machine, l.key.N)
	if err != nil {
		return 0, s, err
	}
	if !q.next() {
		return 0, s, cmp.Or(q.err, errNoStay)
	}
	machine, s, err = m.view.scanStay(q)
	return machine, s, cmp.Or(err, q.Reset())
}

// advance moves the first lane to its next row. It reports whether all lanes have what
// comes next.
func (m *merge) advance() (bool, error) {
	l := m.lanes[0]
	if l.next() {
		l.readKey()
		heap.Fix(m, 0)
		return true, nil
	}
	heap.Pop(m)
	//guard:set "l.read < l.most" true "an answer goes on after what was sorted at a time" TestView
	return l.err != nil || l.most == 0 || l.read < l.most, l.err
}
