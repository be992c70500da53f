package history

import (
	"fmt"
	"path/filepath"
	"testing"

	"rollcall/internal/roster"
)

// TestEqualKeys: stays whose keys another one has are all kept, wherever they are among
// those that one statement inserts.
func TestEqualKeys(t *testing.T) {
	c, err := openWriter(filepath.Join(t.TempDir(), FileName))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	e, err := openEnded(c)
	if err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, dates := range [][]int{{5, 20, 31, 32, 40}, upTo(100), {5}, upTo(7), upTo(100)} {
		for _, date := range dates {
			if err := e.add(endedRow{endedKey: endedKey{since: minute * roster.Time(date), machine: 1}, user: 1, session: fmt.Sprint(total)}); err != nil {
				t.Fatal(err)
			}
			total++
		}
		if err := e.flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, from := range []string{"ended", "(select distinct session from ended)", "by_user0", "by_machine0"} {
		if n, err := number(c, "select count(*) from "+from); err != nil || int(n) != total {
			t.Errorf("%d rows of %s, want %d: %v", n, from, total, err)
		}
	}
}

// upTo returns the numbers below n.
func upTo(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// TestMissingStay: if an index has a session that the table lacks, the file is damaged; the
// session is not left out of an answer.
func TestMissingStay(t *testing.T) {
	w := filled(t, map[string]int{"web1": 3})
	if err := exec(w.c, "delete from ended where since = (select max(since) from ended)"); err != nil {
		t.Fatal(err)
	}
	latest := roster.Time(0)
	if err := each(w.c, func(q *query) { latest = q.time(0) }, "select max(since) from by_user0"); err != nil {
		t.Fatal(err)
	}
	list := func(f Filter) func(v *View) (int, error) {
		return func(v *View) (int, error) {
			list, _, err := v.Stays(&Span{Filter: f, To: endOfTime, Limit: 5})
			return len(list), err
		}
	}
	for name, ask := range map[string]func(v *View) (int, error){
		"list of a machine": list(Filter{Machines: []string{"web1"}}),
		"list of a user":    list(Filter{User: "lane"}),
		"on a machine": func(v *View) (int, error) {
			list, _, err := v.OnMachine(latest, "web1")
			return len(list), err
		},
		"where a user was": func(v *View) (int, error) {
			list, err := v.OnUser(latest, "lane")
			return len(list), err
		},
	} {
		err := asReader(t, w.path, func(v *View) error {
			n, err := ask(v)
			if err == nil {
				t.Errorf("%s: %d sessions", name, n)
			}
			return err
		})
		if !damaged(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
