package history

import (
	"fmt"
	"slices"
	"strings"

	"zombiezen.com/go/sqlite"
)

// An index says where the stays of a user, or of a machine, are among those that have
// ended. It is a log-structured merge tree: new rows go to level 0, which is so small
// that its pages are written for many rows each; and when a level has more rows than
// it may, some are moved to the next, in the order of their keys. In a single table each
// new row would rewrite a page of its own.
type index struct {
	c       *sqlite.Conn
	name    string
	columns []string
	levels  [levels]level
}

type level struct {
	rows, most int
	moved      []any // the key up to which its rows were moved to the next
}

// levels is how many levels an index has.
const levels = 2

// mostRows is how many rows a level keeps; the last one keeps all.
var mostRows = [levels]int{500_000}

var (
	userColumns    = []string{"user", "class", "since", "machine", "n"}
	machineColumns = []string{"machine", "class", "since", "n"}
)

// openIndex returns an index of the database.
func openIndex(c *sqlite.Conn, name string, columns []string) (*index, error) {
	x := &index{c: c, name: name, columns: columns}
	for i := range levels - 1 {
		n, err := number(c, fmt.Sprintf("select count(*) from %s%d", name, i))
		if err != nil {
			return nil, err
		}
		x.levels[i] = level{rows: int(n), most: mostRows[i], moved: x.beginning()}
	}
	return x, nil
}

// beginning is before all keys.
func (x *index) beginning() []any {
	key := make([]any, len(x.columns))
	for i := range key {
		key[i] = -1
	}
	return key
}

// insert inserts n rows, which must be in the order of their keys. They go to level 0, or
// to level 1 if they would fill more than half of level 0.
func (x *index) insert(n int, bindRow func(s *inserted, i int)) error {
	level := 0
	if n > x.levels[0].most/2 {
		level = 1
	}
	if err := insertMany(x.c, fmt.Sprintf("%s%d", x.name, level), strings.Join(x.columns, ", "), n, bindRow); err != nil {
		return err
	}
	x.levels[level].rows += n
	return x.settle()
}

// settle moves rows to the next level where there are too many.
func (x *index) settle() error {
	for i := range levels - 1 {
		l := &x.levels[i]
		//guard:false "the levels of the indexes stay small" TestWriter
		for l.rows > l.most {
			if err := x.move(i, l.rows-l.most); err != nil {
				return err
			}
		}
	}
	return nil
}

// move moves up to n rows of a level to the next: those that follow the ones moved
// before.
func (x *index) move(from, n int) error {
	l := &x.levels[from]
	to, err := x.key(from, n)
	if err != nil {
		return err
	}
	if to == nil {
		l.moved = x.beginning()
		return nil
	}
	columns, table := strings.Join(x.columns, ", "), fmt.Sprintf("%s%d", x.name, from)
	where := fmt.Sprintf(" where (%s) > (%s) and (%[1]s) <= (%[2]s)", columns, parameters(len(x.columns)))
	span := append(append([]any{}, l.moved...), to...)
	if err := exec(x.c, fmt.Sprintf("insert or fail into %s%d select * from %s", x.name, from+1, table)+where, span...); err != nil {
		return err
	}
	x.levels[from+1].rows += x.c.Changes()
	if err := exec(x.c, "delete from "+table+where, span...); err != nil {
		return err
	}
	l.rows -= x.c.Changes()
	l.moved = to
	return nil
}

// key returns the key of the nth row of a level after those that were moved, or of the
// last one; nil if none follows.
func (x *index) key(level, n int) (key []any, err error) {
	columns := strings.Join(x.columns, ", ")
	from := fmt.Sprintf("select %s from %s%d where (%[1]s) > (%[4]s) order by ", columns, x.name, level, parameters(len(x.columns)))
	after := x.levels[level].moved
	for _, end := range []string{columns + " limit 1 offset ?", strings.Join(x.columns, " desc, ") + " desc limit 1"} {
		args := after
		if end[len(end)-1] == '?' {
			args = append(slices.Clone(after), n-1)
		}
		q, err := prepared(x.c, from+end, args...)
		if err != nil {
			return nil, err
		}
		for q.next() {
			for i := range x.columns {
				key = append(key, q.ColumnInt64(i))
			}
		}
		if q.err != nil || key != nil {
			return key, q.err
		}
	}
	return nil, nil
}

// delete deletes a row, whichever level has it.
func (x *index) delete(key ...any) error {
	for i := range x.levels {
		if err := exec(x.c, fmt.Sprintf("delete from %s%d where (%s) = (%s)", x.name, i, strings.Join(x.columns, ", "), parameters(len(key))), key...); err != nil {
			return err
		}
		if n := x.c.Changes(); n > 0 {
			x.levels[i].rows -= n
			return nil
		}
	}
	return nil
}

func parameters(n int) string { return strings.Repeat("?, ", n-1) + "?" }

// sameKey says that an index's row i is that of a stay e.
const sameKey = "e.class = i.class and e.since = i.since and e.machine = i.machine and e.n = i.n"

// overLevels returns a select of the stays e over all levels of an index i.
func overLevels(columns, from, name, where string) string {
	return joinLevels(columns, from, name, "cross join", where)
}

// joinLevels is overLevels with another join. A left join has a row of nulls for a key of the
// index that no stay has.
func joinLevels(columns, from, name, join, where string) string {
	var parts []string
	for level := range levels {
		parts = append(parts, fmt.Sprintf("%s from %s%s%d i %s ended e on %s where %s", columns, from, name, level, join, sameKey, where))
	}
	return strings.Join(parts, "\nunion all ")
}
