package history

import (
	"fmt"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// bind binds an argument of a statement.
func bind(s *sqlite.Stmt, i int, arg any) {
	switch v := arg.(type) {
	case nil:
		s.BindNull(i)
	case int:
		s.BindInt64(i, int64(v))
	case int64:
		s.BindInt64(i, v)
	case uint64:
		s.BindInt64(i, int64(v))
	case roster.Time:
		if v == never {
			s.BindNull(i)
			return
		}
		s.BindInt64(i, int64(v))
	case string:
		s.BindText(i, v)
	case []byte:
		s.BindBytes(i, v)
	default:
		panic(fmt.Sprintf("binding a %T", arg))
	}
}

// time returns a column that is a date, or never.
func (q *query) time(i int) roster.Time {
	if q.ColumnIsNull(i) {
		return never
	}
	return roster.Time(q.ColumnInt64(i))
}

// bytes returns a copy of a column.
func (q *query) bytes(i int) []byte {
	b := make([]byte, q.ColumnLen(i))
	q.ColumnBytes(i, b)
	return b
}
