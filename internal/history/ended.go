package history

import (
	"cmp"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// ended has the stays that have ended. Those of a transaction are written together, in
// the order of their keys: many rows to a page, and to a statement.
type ended struct {
	c                 *sqlite.Conn
	classes           map[int]bool // those in the database
	byUser, byMachine *index
	pending           []endedRow
	count             int64 // rows in the table
	deltas            []delta
}

// endedRow is a row of the table.
type endedRow struct {
	endedKey
	user    int64
	session string
	ended   roster.Time
	how     Ending
	unseen  int
	detail  int64
}

type endedKey struct {
	class   int
	since   roster.Time
	machine int64
	n       int64
}

func (a *endedKey) compare(b *endedKey) int {
	return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.since, b.since), cmp.Compare(a.machine, b.machine), cmp.Compare(a.n, b.n))
}

func openEnded(c *sqlite.Conn) (*ended, error) {
	e := &ended{c: c, classes: map[int]bool{}}
	q, err := prepared(c, "select class from classes")
	if err != nil {
		return nil, err
	}
	for q.next() {
		e.classes[q.ColumnInt(0)] = true
	}
	if q.err != nil {
		return nil, q.err
	}
	if e.byUser, err = openIndex(c, byUser, userColumns); err != nil {
		return nil, err
	}
	e.byMachine, err = openIndex(c, byMachine, machineColumns)
	return e, err
}

// add adds a row, whose n may change when it is written.
func (e *ended) add(r endedRow) error {
	if !e.classes[r.class] {
		if err := exec(e.c, "insert or ignore into classes (class, span) values (?, ?)", r.class, spanOf(r.class)); err != nil {
			return err
		}
		e.classes[r.class] = true
	}
	e.pending = append(e.pending, r)
	e.record(r.machine, r.user, r.since, r.ended, 1)
	return nil
}

// record records that a stay was added (n is 1) or deleted (-1), for those who have
// counted it. It is open if it ends at endOfTime.
func (e *ended) record(machine, user int64, since, ended roster.Time, n int32) {
	if len(e.deltas) < maxDeltas {
		e.deltas = append(e.deltas, delta{since, ended, uint32(machine), uint32(user), n})
	}
}

// flush writes the rows that were added.
func (e *ended) flush() error {
	if len(e.pending) == 0 {
		return nil
	}
	p := e.pending
	slices.SortStableFunc(p, func(a, b endedRow) int { return a.compare(&b.endedKey) })
	for i := 1; i < len(p); i++ {
		if p[i].class == p[i-1].class && p[i].since == p[i-1].since && p[i].machine == p[i-1].machine {
			p[i].n = p[i-1].n + 1
		}
	}
	if err := e.insert(p); err != nil {
		return err
	}
	e.pending = p[:0]
	e.count += int64(len(p))
	return e.insertIntoIndexes(p)
}

const endedColumns = "class, since, machine, n, user, session, ended, how, unseen, detail"

// insert writes rows. Where a row with a key exists, another n is found.
func (e *ended) insert(p []endedRow) error {
	for len(p) > 0 {
		n := rowsAtOnce(len(p))
		err := insertMany(e.c, "ended", endedColumns, n, func(s *inserted, i int) { p[i].bind(s) })
		//guard:false "stays of equal keys are all kept" TestEqualKeys
		if sqlite.ErrCode(err) == sqlite.ResultConstraintPrimaryKey {
			// The rows before that one are inserted.
			n = e.c.Changes()
			err = e.findN(&p[n])
		}
		if err != nil {
			return err
		}
		p = p[n:]
	}
	return nil
}

// findN gives a row an n that no row in the table has.
func (e *ended) findN(r *endedRow) error {
	q, err := prepared(e.c, "select max(n) from ended where class = +? and since = +? and machine = +?", r.class, r.since, r.machine)
	if err != nil {
		return err
	}
	for q.next() {
		r.n = q.ColumnInt64(0) + 1
	}
	return q.err
}

func (r *endedRow) bind(s *inserted) {
	s.int(int64(r.class))
	s.int(int64(r.since))
	s.int(r.machine)
	s.int(r.n)
	s.int(r.user)
	s.text(r.session)
	s.int(int64(r.ended))
	s.int(int64(r.how))
	s.int(int64(r.unseen))
	s.int(r.detail)
}

func (e *ended) insertIntoIndexes(p []endedRow) error {
	slices.SortFunc(p, func(a, b endedRow) int { return cmp.Or(cmp.Compare(a.user, b.user), a.compare(&b.endedKey)) })
	err := e.byUser.insert(len(p), func(s *inserted, i int) {
		for _, v := range [...]int64{p[i].user, int64(p[i].class), int64(p[i].since), p[i].machine, p[i].n} {
			s.int(v)
		}
	})
	if err != nil {
		return err
	}
	slices.SortFunc(p, func(a, b endedRow) int { return cmp.Or(cmp.Compare(a.machine, b.machine), a.compare(&b.endedKey)) })
	return e.byMachine.insert(len(p), func(s *inserted, i int) {
		for _, v := range [...]int64{p[i].machine, int64(p[i].class), int64(p[i].since), p[i].n} {
			s.int(v)
		}
	})
}

// delete deletes the row of a key, whose stay ended at a date.
func (e *ended) delete(k *endedKey, user int64, ended roster.Time) error {
	e.record(k.machine, user, k.since, ended, -1)
	if err := exec(e.c, "delete from ended where class = ? and since = ? and machine = ? and n = ?", k.class, k.since, k.machine, k.n); err != nil {
		return err
	}
	e.count--
	if err := e.byUser.delete(user, k.class, k.since, k.machine, k.n); err != nil {
		return err
	}
	return e.byMachine.delete(k.machine, k.class, k.since, k.n)
}

// rowsAtOnce returns how many of n rows the next statement inserts.
func rowsAtOnce(n int) int {
	if n < 32 {
		return 1
	}
	return 32
}

// inserted binds the values of a statement in their order.
type inserted struct {
	*sqlite.Stmt
	i int
}

func (s *inserted) int(v int64) {
	s.i++
	s.BindInt64(s.i, v)
}

func (s *inserted) text(v string) {
	s.i++
	s.BindText(s.i, v)
}

// insertMany inserts n rows into a table, many to a statement. If a row with a key
// exists, it ends there: "or fail" leaves the rows before it, so SQLite need not keep a
// copy of each page that a statement changes.
func insertMany(c *sqlite.Conn, table, columns string, n int, bindRow func(s *inserted, i int)) error {
	row := "(" + parameters(strings.Count(columns, ",")+1) + ")"
	for i := 0; i < n; {
		rows := rowsAtOnce(n - i)
		q, err := prepared(c, "insert or fail into "+table+" ("+columns+") values "+strings.Repeat(row+", ", rows-1)+row)
		if err != nil {
			return err
		}
		s := inserted{Stmt: q.Stmt}
		for range rows {
			bindRow(&s, i)
			i++
		}
		for q.next() {
		}
		if q.err != nil {
			return q.err
		}
	}
	return nil
}
