package history

import (
	"cmp"
	"container/heap"
	"fmt"
	"strings"

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

// lane is one class, with its next stay.
type lane struct {
	*query
	class int
	keys  bool // it reads an index: of each stay the key alone
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
var errNoStay = fmt.Errorf("%w: a session is in an index, but not in the table", errCorrupt)

// stay reads the next stay of a lane.
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
