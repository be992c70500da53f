package history

import (
	"path/filepath"
	"testing"

	"rollcall/internal/test/kit"
)

// YearOfStays returns a folder with a history of n stays of a year on so many machines, and the
// names of these machines and of the users. After these stays each pair of a kit.Fleet logged in;
// pairs is how many it has.
func YearOfStays(b *testing.B, n, of int) (dir string, machines, users []string, pairs int) {
	b.Helper()
	p := newPast(b, n, of, false)
	viewOf(b, p, func(v *View) {
		names := func(statement string, most int) (list []string) {
			must(b, each(v.c, func(q *query) { list = append(list, q.ColumnText(0)) }, statement, most))
			return list
		}
		machines = names("select name from machines where id <= ?", p.machines)
		users = names("select name from users where id <= ?", p.users())
	})
	return filepath.Dir(p.path), machines, users, p.fleet.Pairs()
}

// OfStream returns a folder with a history of the first events of a fleet.
func OfStream(b *testing.B, f *kit.Fleet, events int) (dir string) {
	b.Helper()
	p := &past{path: filepath.Join(b.TempDir(), FileName), fleet: f}
	w := openForBench(b, p.path)
	for p.place < uint64(events) {
		must(b, w.write([]*batch{p.next(min(defaultLimits.catchUpAt, events-int(p.place)))}))
	}
	must(b, w.c.Close())
	return filepath.Dir(p.path)
}

// NewYear is when that year ends.
var NewYear = newYear
