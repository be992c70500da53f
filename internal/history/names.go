package history

import (
	"strings"

	"zombiezen.com/go/sqlite"

	"rollcall/internal/roster"
)

// details are where a session came from and how, by a number in the database.
type details struct{ terminal, remote, service string }

func detailsOf(s *roster.Session) details { return details{s.Terminal, s.Remote, s.Service} }

// names maps users and details to their numbers in the database and back. It
// remembers those used last.
type names struct {
	c       *sqlite.Conn
	users   *cache[string, int64]
	details *cache[details, int64]
	user    *cache[int64, string]
	detail  *cache[int64, details]
	// used is called with each number that is about to be written, of a user or of
	// details; the other is 0. It may be nil.
	used func(user, detail int64)
	// added is how many bytes of names were added to the database.
	added int
}

// maxNames is how many bytes of each the questions remember, and maxWritten, how many the
// writer does: twice these at most.
const maxNames, maxWritten = 3 << 20, 20 << 20

// maxMachineNames is how many bytes of machines' names they remember, or twice as many. It is
// less: what has many machines reads their names from the table, in order.
const maxMachineNames = 1 << 19

// entry is about how many bytes an entry of a cache takes beside its value's.
const entry = 64

// newNames returns names that remember up to twice so many bytes of each.
func newNames(c *sqlite.Conn, most int) *names {
	return &names{
		c:       c,
		users:   newCache[string](most, func(int64) int { return 2 * entry }),
		details: newCache[details](most, func(int64) int { return 2 * entry }),
		user:    newNamesOf(most),
		detail:  newCache[int64](most, func(d details) int { return entry + len(d.terminal) + len(d.remote) + len(d.service) }),
	}
}

// newNamesOf returns a cache of names by number.
func newNamesOf(most int) *cache[int64, string] {
	return newCache[int64](most, func(name string) int { return entry + len(name) })
}

// over returns the names as another connection reads them.
func (n *names) over(c *sqlite.Conn) *names {
	other := *n
	other.c = c
	return &other
}

// use notes that a number is about to be written.
func (n *names) use(user, detail int64) {
	if n.used != nil {
		n.used(user, detail)
	}
}

// userNumber returns a user's number, giving one to a new user.
func (n *names) userNumber(name string) (id int64, err error) {
	defer func() { n.use(id, 0) }()
	if id, ok := n.users.get(name); ok {
		return id, nil
	}
	id, err = n.numberOf("select id from users where name = ?", "insert into users (name) values (?)", name)
	if err == nil {
		n.users.put(strings.Clone(name), id) // it may be part of a longer string
	}
	return id, err
}

// detailNumber returns the number of details, giving one to new ones.
func (n *names) detailNumber(d details) (id int64, err error) {
	defer func() { n.use(0, id) }()
	if id, ok := n.details.get(d); ok {
		return id, nil
	}
	id, err = n.numberOf("select id from details where remote = ? and service = ? and terminal = ?",
		"insert into details (remote, service, terminal) values (?, ?, ?)", d.remote, d.service, d.terminal)
	if err == nil {
		n.details.put(details{strings.Clone(d.terminal), strings.Clone(d.remote), strings.Clone(d.service)}, id)
	}
	return id, err
}

// forgetUser forgets a row of users: its number and its name.
func (n *names) forgetUser(q *query) {
	n.user.delete(q.ColumnInt64(0))
	n.users.delete(q.ColumnText(1))
}

// forgetDetails forgets a row of details: its number, terminal, remote and service.
func (n *names) forgetDetails(q *query) {
	n.detail.delete(q.ColumnInt64(0))
	n.details.delete(details{q.ColumnText(1), q.ColumnText(2), q.ColumnText(3)})
}

// numberOf selects the number of a row by its texts, or inserts it.
func (n *names) numberOf(find, insert string, texts ...any) (id int64, err error) {
	if err := each(n.c, func(q *query) { id = q.ColumnInt64(0) }, find, texts...); err != nil || id != 0 {
		return id, err
	}
	if err := exec(n.c, insert, texts...); err != nil {
		return 0, err
	}
	for _, text := range texts {
		n.added += len(text.(string))
	}
	return n.c.LastInsertRowID(), nil
}

// userName returns the user of a number.
func (n *names) userName(id int64) (string, error) {
	return nameOf(n.c, n.user, "select name from users where id = ?", id)
}

// nameOf returns the name of a number, and remembers it. An interrupted look-up has none.
func nameOf(c *sqlite.Conn, known *cache[int64, string], statement string, id int64) (name string, err error) {
	if name, ok := known.get(id); ok {
		return name, nil
	}
	//guard:set "err == nil" true "an interrupted look-up leaves no name behind" TestNameInterrupted
	if err = each(c, func(q *query) { name = q.ColumnText(0) }, statement, id); err == nil {
		known.put(id, name)
	}
	return name, err
}

// fill sets the details of a session by their number.
func (n *names) fill(s *roster.Session, id int64) error {
	d, ok := n.detail.get(id)
	if !ok {
		q, err := prepared(n.c, "select terminal, remote, service from details where id = ?", id)
		if err != nil {
			return err
		}
		for q.next() {
			d = details{q.ColumnText(0), q.ColumnText(1), q.ColumnText(2)}
		}
		if q.err != nil {
			return q.err
		}
		n.detail.put(id, d)
	}
	s.Terminal, s.Remote, s.Service = d.terminal, d.remote, d.service
	return nil
}
