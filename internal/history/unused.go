package history

import (
	"cmp"
	"fmt"
	"strings"
)

// unused finds the users and details that nothing refers to any more, and deletes them.
// It reads all that refers to them, a part at a time, and marks their numbers; what is
// written meanwhile is marked, too. Then it deletes the others.
type unused struct {
	*writer
	table   int   // of referring: the one that is being read
	after   []any // the key of that table up to which it was read
	users   marked
	details marked
	freed   int64 // the writer's when it began
}

// marked has the numbers of a table that are referred to.
type marked struct {
	table    string
	columns  string
	forget   func(n *names, q *query) // forgets a row of these columns
	greatest int64                    // the greatest number when it began
	bits     []uint64
	through  int64 // up to this number, those that are not marked were deleted
}

// referring are the tables that refer to users and details: their keys, and what they
// refer to, as numbers or in what an encoder wrote.
var referring = []struct {
	table   string
	key     []string
	columns string
	rows    int // read at a time
	mark    func(u *unused, q *query, column int) error
}{
	{"ended", []string{"class", "since", "machine", "n"}, "user, detail", 20_000, (*unused).markRow},
	{"open", []string{"machine", "session", "user"}, "user, detail", 20_000, (*unused).markRow},
	{"strays", []string{"machine", "date", "session", "user"}, "user, 0", 20_000, (*unused).markRow},
	{"windows", []string{"id"}, "base, events", 500, (*unused).markChunk},
	{"recent", []string{"place"}, "events", 1, (*unused).markRecent},
}

// namesAtOnce is how many names are looked at in a transaction.
const namesAtOnce = 5000

// beginUnused begins to look for what is not used.
func (w *writer) beginUnused() error {
	u := &unused{
		writer: w, after: beforeAll(0), freed: w.state.Freed,
		users:   marked{table: "users", columns: "id, name", forget: (*names).forgetUser},
		details: marked{table: "details", columns: "id, terminal, remote, service", forget: (*names).forgetDetails},
	}
	for _, m := range []*marked{&u.users, &u.details} {
		var err error
		if m.greatest, err = number(w.c, "select ifnull(max(id), 0) from "+m.table); err != nil {
			return err
		}
		m.bits = make([]uint64, m.greatest/64+1)
	}
	w.unused, w.names.used = u, u.use
	return nil
}

// use marks the numbers of a user and of details.
func (u *unused) use(user, detail int64) {
	u.users.mark(user)
	u.details.mark(detail)
}

func (m *marked) mark(id int64) {
	if id < m.greatest {
		m.bits[id/64] |= 1 << (id % 64)
	}
}

func (m *marked) has(id int64) bool { return m.bits[id/64]&(1<<(id%64)) != 0 }

// marking reports whether there is more to read. Reading is no transaction.
func (u *unused) marking() bool { return u != nil && u.table < len(referring) }

// markSome reads a part.
func (u *unused) markSome() error {
	r := &referring[u.table]
	key := strings.Join(r.key, ", ")
	q, err := prepared(u.c, fmt.Sprintf("select %[1]s, %s from %s where (%[1]s) > (%[4]s) order by %[1]s limit %[5]d",
		key, r.columns, r.table, parameters(len(r.key)), r.rows), u.after...)
	if err != nil {
		return err
	}
	n := 0
	for ; q.next(); n++ {
		for i, column := range r.key {
			if column == "session" {
				u.after[i] = q.ColumnText(i)
			} else {
				u.after[i] = q.ColumnInt64(i)
			}
		}
		if err := r.mark(u, q, len(r.key)); err != nil {
			_ = q.Reset()
			return err
		}
	}
	if q.err == nil && n < r.rows {
		u.table++
		u.after = beforeAll(u.table)
	}
	return q.err
}

// beforeAll returns a key before all of a table of referring. Numbers are before texts.
func beforeAll(table int) (key []any) {
	if table < len(referring) {
		for range referring[table].key {
			key = append(key, -1)
		}
	}
	return key
}

func (u *unused) markRow(q *query, column int) error {
	u.use(q.ColumnInt64(column), q.ColumnInt64(column+1))
	return nil
}

func (u *unused) markChunk(q *query, column int) error {
	base, events := decoder{b: q.bytes(column), used: u.use}, decoder{b: q.bytes(column + 1), used: u.use}
	base.base()
	events.events()
	return cmp.Or(base.err, events.err)
}

func (u *unused) markRecent(q *query, column int) error {
	return eachRun(q.bytes(column), func(_ int64, run []byte) error {
		d := decoder{b: run, used: u.use}
		d.events()
		return d.err
	})
}

// deleteSome deletes, in a transaction, a part of those that are not used, and reports
// whether there are more.
func (u *unused) deleteSome() (more bool, err error) {
	if more, err = u.users.deleteSome(u.names); err != nil || more {
		return more, err
	}
	if more, err = u.details.deleteSome(u.names); err != nil || more {
		return more, err
	}
	u.state.Freed -= u.freed
	u.writer.unused, u.names.used = nil, nil
	return false, nil
}

// deleteSome deletes those that are not marked of the next namesAtOnce. The greatest
// stays: SQLite would give its number again.
func (m *marked) deleteSome(names *names) (more bool, err error) {
	q, err := prepared(names.c, fmt.Sprintf("select %s from %s where id > ? and id < ? order by id limit 0 + ?", m.columns, m.table),
		m.through, m.greatest, namesAtOnce)
	if err != nil {
		return false, err
	}
	var list []int64
	n := 0
	for ; q.next(); n++ {
		//guard:false "a name that something refers to is kept" TestUnused
		if m.through = q.ColumnInt64(0); m.has(m.through) {
			continue
		}
		list = append(list, m.through)
		m.forget(names, q)
	}
	if q.err != nil {
		return false, q.err
	}
	for _, id := range list {
		if err := exec(names.c, "delete from "+m.table+" where id = ?", id); err != nil {
			return false, err
		}
	}
	return n == namesAtOnce, nil
}
