package history

import (
	"reflect"

	"modernc.org/libc"
	sqlite3 "modernc.org/sqlite/lib"
	"zombiezen.com/go/sqlite"
)

// wantPreparedOnce checks that no statement is prepared again at each call; see [prepared].
func (s *sim) wantPreparedOnce() {
	h := s.history
	if h.w != nil {
		wantNoneAgain(s, h.w.c)
	}
	for range len(h.readers) {
		r := <-h.readers
		if r.c != nil {
			wantNoneAgain(s, r.c)
		}
		h.readers <- r
	}
}

// wantNoneAgain looks at how often the statements of a connection were prepared again.
func wantNoneAgain(t interface{ Errorf(string, ...any) }, c *sqlite.Conn) {
	const reprepared = sqlite3.SQLITE_STMTSTATUS_REPREPARE
	tls := unexported[*libc.TLS](c, "tls")
	for text, statement := range unexported[map[string]*sqlite.Stmt](c, "stmts") {
		handle := unexported[uintptr](statement, "stmt")
		if handle == 0 {
			continue
		}
		// Once is because of the tables, which a later connection may have changed.
		if n := sqlite3.Xsqlite3_stmt_status(tls, handle, reprepared, 0); n > 1 {
			t.Errorf("prepared %d times again: %s", n, text)
		}
	}
}

// unexported returns a field that another package does not export.
func unexported[T any](of any, name string) T {
	return *(*T)(reflect.ValueOf(of).Elem().FieldByName(name).Addr().UnsafePointer())
}
