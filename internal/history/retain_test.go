package history

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

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
		more, err := w.unused.marking(), error(nil)
		if more {
			err = w.unused.markSome()
		} else {
			more, err = w.retain(keep, most)
		}
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
		wantNumber(t, w, fmt.Sprintf("select (select count(*) from ended) - (select count(*) from (select n from by_%[1]s0 union all select n from by_%[1]s1))", table), 0)
	}
	wantNoneAgain(t, w.c)
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
	q, err := prepared(w.c, "select since, until from doubts where machine = +? and reason = 'evicted' order by until", m.id)
	if err != nil {
		t.Fatal(err)
	}
	for q.next() {
		gaps = append(gaps, [2]roster.Time{q.time(0), q.time(1)})
	}
	return ended, gaps
}

// TestEvictLong: of sessions of four days, among shorter and longer ones, only as much is
// deleted as has to be, with the classes of the product.
func TestEvictLong(t *testing.T) {
	was, by := shortest, step
	shortest, step = productShortest, productStep
	t.Cleanup(func() { shortest, step = was, by })
	for _, hours := range []int{3, 24, 4 * 24, 30 * 24} {
		t.Run(fmt.Sprint(hours, " h"), func(t *testing.T) {
			w := filled(t, map[string]int{"web1": 1})
			lasted := roster.Time(hours) * roster.Time(time.Hour)
			const sessions = 2000
			for i := range sessions {
				ended := 10*lasted + roster.Time(i)*roster.Time(time.Hour)
				must(t, w.ended.add(endedRow{
					endedKey: endedKey{class: classOf(lasted), since: ended - lasted, machine: 1}, user: 1, session: fmt.Sprint(i), ended: ended,
				}))
			}
			must(t, w.ended.flush())
			must(t, exec(w.c, "update machines set newest = ?", 10*lasted+sessions*roster.Time(time.Hour)))
			through, err := w.oldest(&weight{machine: 1, over: sessions / 10 * stayBytes, through: never})
			must(t, err)
			want := 10*lasted + sessions/10*roster.Time(time.Hour)
			if through < want-2*roster.Time(time.Hour) || through > want+5*roster.Time(time.Hour) {
				t.Errorf("through %v, want %v: %v too late", through, want, time.Duration(through-want))
			}
		})
	}
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

// TestEvictNames: names that only one machine told of, and logouts and boots that ended
// nothing, count as that machine's: it can't push out others with them either.
func TestEvictNames(t *testing.T) {
	long := strings.Repeat("x", 200)
	for name, told := range map[string]func(n int) roster.Event{
		"users": func(n int) roster.Event {
			return roster.Event{Type: roster.Login, Session: roster.Session{User: fmt.Sprint(long, n), ID: "1"}}
		},
		"details": func(n int) roster.Event {
			return roster.Event{Type: roster.Login, Session: roster.Session{User: fmt.Sprint("u", n%2), ID: "1", Remote: fmt.Sprint(long, n)}}
		},
		"logouts": func(n int) roster.Event {
			return roster.Event{Type: roster.Logout, Session: roster.Session{User: "lane", ID: fmt.Sprint(long, n)}}
		},
		"boots": func(int) roster.Event { return roster.Event{Type: roster.Boot} },
	} {
		t.Run(name, func(t *testing.T) {
			w := filled(t, map[string]int{"web1": 500, "web2": 500})
			before, err := w.size()
			if err != nil {
				t.Fatal(err)
			}
			b := &batch{settings: roster.DefaultSettings(), first: 1, end: w.state.Position, receipt: w.state.Receipt}
			for n := range 20_000 {
				e := told(n)
				e.Machine, e.Date = "flood", minute*roster.Time(1+n)
				b.end.Place++
				b.events = append(b.events, Accepted{b.end.Place, e})
			}
			if err := w.write([]*batch{b}); err != nil {
				t.Fatal(err)
			}
			if err := w.moveAll(roster.DefaultSettings()); err != nil {
				t.Fatal(err)
			}
			size, err := w.size()
			if err != nil {
				t.Fatal(err)
			}
			most := (before + size) / 2
			retainAll(t, w, time.Duration(roster.MaxDate), most)
			if now, err := w.size(); err != nil || now > most {
				t.Errorf("%d bytes of %d, %v; want at most %d", now, size, err, most)
			}
			for _, name := range []string{"web1", "web2"} {
				if ended, gaps := ofMachine(t, w, name); len(ended) != 500 || gaps != nil {
					t.Errorf("%s: %d stays, gaps %v", name, len(ended), gaps)
				}
			}
		})
	}
}

// TestUnused: the names that nothing refers to are deleted, and no others, while events are
// written and stays deleted.
func TestUnused(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		w := filled(t, nil)
		w.forgetAt = 1
		lateness := roster.Settings{AllowedLateness: time.Hour}
		place, now := uint64(0), roster.Time(0)
		name := rapid.Map(rapid.IntRange(0, 30), func(n int) string { return fmt.Sprint("n", n) })
		write := func(r *rapid.T) {
			b := &batch{settings: lateness, first: 1}
			for range rapid.IntRange(1, 5).Draw(r, "events") {
				place++
				now += roster.Time(rapid.IntRange(0, 100).Draw(r, "minutes")) * minute
				e := roster.Event{
					Machine: fmt.Sprint("web", rapid.IntRange(1, 2).Draw(r, "machine")), Date: now - minute*roster.Time(rapid.IntRange(0, 60).Draw(r, "late")),
					Type: rapid.SampledFrom([]roster.Type{roster.Login, roster.Logout, roster.Present, roster.Boot}).Draw(r, "type"),
				}
				s := roster.Session{User: name.Draw(r, "user"), ID: rapid.SampledFrom([]string{"", "1", "2"}).Draw(r, "id")}
				switch e.Type {
				case roster.Login:
					s.Remote = name.Draw(r, "remote")
					e.Session = s
				case roster.Logout:
					e.Session = s
				case roster.Present:
					e.Sessions = []roster.Session{s}
				}
				e.Date = max(e.Date, 1)
				b.events = append(b.events, Accepted{place, e})
			}
			b.end.Place, b.receipt = place, now
			if err := w.write([]*batch{b}); err != nil {
				r.Fatal(err)
			}
		}
		do := func(r *rapid.T, what func() error) {
			if err := what(); err != nil {
				r.Fatal(err)
			}
		}
		r.Repeat(map[string]func(*rapid.T){
			"":      func(*rapid.T) {},
			"write": write,
			"delete": func(r *rapid.T) {
				do(r, func() error {
					if err := exec(w.c, "begin immediate"); err != nil {
						return err
					}
					_, err := w.deleteEnded("select class, since, machine, n, user, ended from ended limit ?", rapid.IntRange(1, 5).Draw(r, "stays"))
					if err == nil {
						err = w.saveState()
					}
					return w.end(err)
				})
			},
			"move": func(r *rapid.T) { do(r, func() error { return w.moveAll(lateness) }) },
			"forget": func(r *rapid.T) {
				do(r, func() error {
					if w.unused.marking() {
						return w.unused.markSome()
					}
					_, err := w.retain(time.Duration(roster.MaxDate), 1<<40)
					return err
				})
			},
		})
		w.checkNames(r)
	})
}

// checkNames looks for what nothing refers to until all of it is deleted, and checks that
// nothing else is.
func (w *writer) checkNames(t *rapid.T) {
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	w.state.Freed++
	for more := true; more; {
		if w.unused.marking() {
			must(w.unused.markSome())
			continue
		}
		var err error
		more, err = w.retain(time.Duration(roster.MaxDate), 1<<40)
		must(err)
	}
	users, remotes := map[string]bool{}, map[string]bool{}
	use := func(s *roster.Session) { users[s.User], remotes[s.Remote] = true, true }
	fresh := newNames(w.c, maxNames)
	events := func(b []byte) {
		d := decoder{b: b, names: fresh}
		for _, e := range d.events() {
			if e.Type == roster.Login || e.Type == roster.Logout {
				use(&e.Session)
			}
			for i := range e.Sessions {
				use(&e.Sessions[i])
			}
		}
		must(d.err)
	}
	must(each(w.c, func(q *query) { events(q.bytes(0)) }, "select events from windows"))
	must(each(w.c, func(q *query) {
		d := decoder{b: q.bytes(0), names: fresh}
		for _, s := range d.base().open {
			use(&s.Session)
		}
		must(d.err)
	}, "select base from windows"))
	must(each(w.c, func(q *query) {
		must(eachRun(q.bytes(0), func(_ int64, run []byte) error { events(run); return nil }))
	}, "select events from recent"))
	for _, table := range []string{"ended", "open"} {
		must(each(w.c, func(q *query) { use(&roster.Session{User: q.ColumnText(0), Remote: q.ColumnText(1)}) },
			"select (select name from users where id = user), (select remote from details where id = detail) from "+table))
	}
	must(each(w.c, func(q *query) { users[q.ColumnText(0)] = true }, "select (select name from users where id = user) from strays"))
	if users[""] {
		t.Fatal("a name that something refers to was deleted")
	}
	for of, used := range map[string]map[string]bool{"name from users": users, "remote from details": remotes} {
		var got []string
		must(each(w.c, func(q *query) { got = append(got, q.ColumnText(0)) }, "select "+of+" order by id"))
		for i, name := range got {
			if !used[name] && i < len(got)-1 {
				t.Fatalf("%s: nothing refers to %s of %v", of, name, got)
			}
			delete(used, name)
		}
		if len(used) > 0 {
			t.Fatalf("%s: %v were deleted", of, used)
		}
	}
}
