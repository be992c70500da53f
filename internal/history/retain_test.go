package history

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// hour is a session of a machine that lasts less than an hour.
func hour(machine, user string, n int) []roster.Event {
	at := roster.Time(n) * roster.Time(time.Hour)
	s := roster.Session{User: user, ID: fmt.Sprint(n)}
	return []roster.Event{
		{Machine: machine, Type: roster.Login, Date: at, Session: s},
		{Machine: machine, Type: roster.Logout, Date: at + minute*roster.Time(1+n%50), Session: s},
	}
}

// filled returns a writer of machines with so many sessions each, an hour apart.
func filled(t *testing.T, machines map[string]int) *writer {
	path := filepath.Join(t.TempDir(), FileName)
	c, err := openWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	w, err := newWriter(c, path)
	if err != nil {
		t.Fatal(err)
	}
	b := &batch{settings: roster.DefaultSettings(), first: 1}
	for name, n := range machines {
		for i := range n {
			for _, e := range hour(name, "lane", i+1) {
				b.end.Place++
				b.events = append(b.events, Accepted{b.end.Place, e})
				b.receipt = max(b.receipt, e.Date)
			}
		}
	}
	if err := w.write([]*batch{b}); err != nil {
		t.Fatal(err)
	}
	return w
}

// retainAll retains until there is nothing more to do.
func retainAll(t *testing.T, w *writer, keep time.Duration, most int64) {
	for n := 0; ; n++ {
		more, err := w.retain(keep, most)
		if err != nil {
			t.Fatal(err)
		}
		if !more {
			break
		}
		if n == 10_000 {
			t.Fatal("it does not end")
		}
	}
	for _, table := range []string{"user", "machine"} {
		wantNumber(t, w, fmt.Sprintf("select (select count(*) from ended) - (select count(*) from (select n from by_%[1]s0 union all select n from by_%[1]s1 union all select n from by_%[1]s2))", table), 0)
	}
	wantNumber(t, w, "select count(*) from pragma_integrity_check where integrity_check <> 'ok'", 0)
}

func wantNumber(t *testing.T, w *writer, statement string, want int64) {
	t.Helper()
	if got, err := number(w.c, statement); err != nil || got != want {
		t.Fatalf("%s: got %d, %v; want %d", statement, got, err, want)
	}
}

// ofMachine returns when the stays of a machine ended, in order.
func ofMachine(t *testing.T, w *writer, name string) (ended []roster.Time, gaps [][2]roster.Time) {
	m, err := loadMachine(w.c, name)
	if err != nil {
		t.Fatal(err)
	}
	list, err := w.rows(m.id).since(never)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range list {
		ended = append(ended, s.Ended)
	}
	slices.Sort(ended)
	q, err := prepared(w.c, "select since, until from doubts where machine = ? and reason = 'evicted' order by until", m.id)
	if err != nil {
		t.Fatal(err)
	}
	for q.next() {
		gaps = append(gaps, [2]roster.Time{q.time(0), q.time(1)})
	}
	return ended, gaps
}

// TestExpire: what ended longer ago than it is kept is deleted, and nothing else.
func TestExpire(t *testing.T) {
	w := filled(t, map[string]int{"web1": 9000, "web2": 50})
	w.state.Began = w.state.Receipt - roster.Time(99*time.Hour)
	retainAll(t, w, 100*time.Hour, 1<<40)
	if ended, _ := ofMachine(t, w, "web1"); len(ended) != 9000 || w.state.Kept != 0 {
		t.Errorf("a history of 99 hours: %d stays are left, kept since %v", len(ended), w.state.Kept)
	}
	w.state.Began = 1
	retainAll(t, w, 100*time.Hour, 1<<40)
	ended, _ := ofMachine(t, w, "web1")
	if w.state.Kept == 0 || len(ended) != 101 || ended[0] < w.state.Kept {
		t.Errorf("kept since %v: %d stays, the first ended at %v", w.state.Kept, len(ended), ended[0])
	}
	if ended, _ := ofMachine(t, w, "web2"); len(ended) != 0 {
		t.Errorf("web2 has %d stays", len(ended))
	}
}

// TestEvict: over the bound the machine with the most bytes loses its oldest, which is
// recorded, and others lose nothing; and the file shrinks.
func TestEvict(t *testing.T) {
	w := filled(t, map[string]int{"jump": 20_000, "web1": 500, "web2": 500})
	size, err := w.size()
	if err != nil {
		t.Fatal(err)
	}
	retainAll(t, w, time.Duration(roster.MaxDate), size/2)
	if now, err := w.size(); err != nil || now > size/2 {
		t.Errorf("%d bytes, %v; want at most %d", now, err, size/2)
	}
	for _, name := range []string{"web1", "web2"} {
		if ended, gaps := ofMachine(t, w, name); len(ended) != 500 || gaps != nil {
			t.Errorf("%s: %d stays, gaps %v", name, len(ended), gaps)
		}
	}
	ended, gaps := ofMachine(t, w, "jump")
	if len(ended) < 3000 || len(gaps) != 1 || gaps[0][0] != 0 || gaps[0][1] > ended[0] || gaps[0][1] < ended[0]-2*roster.Time(time.Hour) {
		t.Errorf("jump: %d stays from %v on, gaps %v", len(ended), ended[0], gaps)
	}
	retainAll(t, w, time.Duration(roster.MaxDate), size/2)
	wantNumber(t, w, "select (select page_count from pragma_page_count) * (select page_size from pragma_page_size) <= "+fmt.Sprint(size*6/10), 1)
}
