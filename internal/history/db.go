package history

import (
	_ "embed"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"zombiezen.com/go/sqlite"
	"zombiezen.com/go/sqlite/sqlitex"
)

// version is of the schema, and of what its numbers mean, such as the spans of classes.
const version = 3

// application marks a database as a history: "roll".
const application = 0x726f6c6c

//go:embed schema.sql
var schema string

//go:embed views.sql
var views string

// FileName is the history's file in the data folder.
const FileName = "history.db"

// openWriter opens the database for the one writer, and creates its tables if there
// are none.
func openWriter(path string) (*sqlite.Conn, error) {
	// SQLite would let everybody read what it creates.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := f.Close(); err != nil {
		return nil, err
	}
	c, err := sqlite.OpenConn(path, sqlite.OpenReadWrite)
	if err != nil {
		return nil, err
	}
	if err := prepare(c); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// foreignError says that a file is no history of this version.
type foreignError struct{ found string }

func (e *foreignError) Error() string { return "not a history of this version: " + e.found }

// synchronous says that what was committed survives a power cut: the place that is read
// back is never an older one. Tests that are not about that turn it off.
var synchronous = "full"

func prepare(c *sqlite.Conn) error {
	if err := run(c, "pragma synchronous = "+synchronous); err != nil {
		return err
	}
	app, err := pragma(c, "application_id")
	if err != nil {
		return err
	}
	found, err := pragma(c, "user_version")
	if err != nil {
		return err
	}
	tables, err := number(c, "select count(*) from sqlite_schema")
	switch {
	case err != nil:
		return err
	case tables == 0 && app == 0:
		err = create(c)
	case app != application:
		err = &foreignError{fmt.Sprintf("application_id %d", app)}
	case found != version:
		err = &foreignError{fmt.Sprintf("version %d, want %d", found, version)}
	}
	if err != nil {
		return err
	}
	//guard:set sqlitex.ExecuteScript(...) error(nil) "a file of an earlier version has the views of this one" TestViewsOfAnEarlierVersion
	if err := sqlitex.ExecuteScript(c, views, nil); err != nil {
		return err
	}
	return run(c,
		"pragma journal_mode = wal",
		// The connections of a process share one cache, which grows to the sum of their
		// sizes, and each page of 2 KB takes 4 KB of memory. With 64 MB here, writing at 1,000
		// events/s would take 6 % less time, and the process some 40 MB more.
		"pragma cache_size = -40000",
		// A commit that leaves this many pages in the WAL, 192 MB, moves to the database
		// file what no reader holds back. By then the pages that each transaction writes
		// are there many times.
		"pragma wal_autocheckpoint = 98304",
	)
}

// create creates the tables.
func create(c *sqlite.Conn) error {
	if err := run(c, "pragma page_size = 2048", "pragma auto_vacuum = incremental"); err != nil {
		return err
	}
	script := fmt.Sprintf("pragma application_id = %d; pragma user_version = %d;\n%s", application, version, schema)
	return sqlitex.ExecuteScript(c, script, nil)
}

// maxWAL is how large the WAL may become before a commit waits for readers, so that it
// can be begun anew.
const (
	maxWAL         = 400 << 20
	waitForReaders = 250 * time.Millisecond
)

// truncateWAL empties the WAL if it is large. While a reader looks at what it had long ago,
// it cannot be emptied: then the next commit tries again, and, once it is twice as large,
// without readers.
func (w *writer) truncateWAL() error {
	size, err := w.sizeOfWAL()
	//guard:true "the write-ahead log stays bounded" TestWAL
	if err != nil || size <= w.mostWAL {
		return err
	}
	//guard:false "the write-ahead log stays bounded while questions overlap" TestWALWhileAsked
	if size > 2*w.mostWAL && w.withoutReaders != nil {
		defer w.withoutReaders()()
	}
	w.c.SetBusyTimeout(waitForReaders)
	defer w.c.SetBlockOnBusy()
	return run(w.c, "pragma wal_checkpoint(truncate)")
}

func (w *writer) sizeOfWAL() (int64, error) {
	f, err := os.Stat(w.path + "-wal")
	if err != nil {
		return 0, err
	}
	return f.Size(), nil
}

// openReader opens the database for a reader.
func openReader(path string) (*sqlite.Conn, error) {
	c, err := sqlite.OpenConn(path, sqlite.OpenReadOnly)
	if err != nil {
		return nil, err
	}
	if err := run(c, "pragma query_only = on", "pragma cache_size = -2000", "pragma mmap_size = "+mostMapped); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// run runs statements that return nothing of interest.
func run(c *sqlite.Conn, statements ...string) error {
	for _, s := range statements {
		if err := sqlitex.ExecuteTransient(c, s, nil); err != nil {
			return fmt.Errorf("%s: %w", s, err)
		}
	}
	return nil
}

func pragma(c *sqlite.Conn, name string) (int64, error) { return number(c, "pragma "+name) }

// number returns the one number that a statement returns.
func number(c *sqlite.Conn, statement string) (n int64, err error) {
	err = sqlitex.ExecuteTransient(c, statement, &sqlitex.ExecOptions{ResultFunc: func(s *sqlite.Stmt) error {
		n = s.ColumnInt64(0)
		return nil
	}})
	return n, err
}

// each calls show with each row that a statement returns.
func each(c *sqlite.Conn, show func(*query), statement string, args ...any) error {
	q, err := prepared(c, statement, args...)
	if err != nil {
		return err
	}
	for q.next() {
		show(q)
	}
	return q.err
}

// query is a prepared statement with its arguments bound. Its rows are read with
// next; it must be read to its end, or reset.
type query struct {
	*sqlite.Stmt
	err error
}

// prepared returns a statement, prepared once on each connection, with arguments:
// int, int64, uint64, roster.Time (which is NULL if never), string, []byte or nil.
//
// SQLite prepares a statement again at each call, which can take longer than the call, if
// its planner looked at a value: in column = ?, and in limit ?. It does not look behind a
// plus: column = +?, and limit 0 + ?. The tests of the history and of its retention fail if a statement lacks it.
func prepared(c *sqlite.Conn, statement string, args ...any) (*query, error) {
	s, err := c.Prepare(statement)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", statement, err)
	}
	for i, arg := range args {
		bind(s, i+1, arg)
	}
	return &query{Stmt: s}, nil
}

// next reads the next row. At the end, and after an error, it returns false, and
// the statement can be used again.
func (q *query) next() bool {
	more, err := q.Step()
	if err != nil || !more {
		q.err = err
		if reset := q.Reset(); q.err == nil {
			q.err = reset
		}
		return false
	}
	return true
}

// exec runs a prepared statement that returns no rows.
func exec(c *sqlite.Conn, statement string, args ...any) error {
	q, err := prepared(c, statement, args...)
	if err != nil {
		return err
	}
	for q.next() {
	}
	return q.err
}

// pathOf returns the path of the history in a data folder.
func pathOf(dir string) string { return filepath.Join(dir, FileName) }
