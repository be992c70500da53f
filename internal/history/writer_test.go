package history

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// world feeds a writer, and keeps what it was fed.
type world struct {
	t        *rapid.T
	path     string
	w        *writer
	settings roster.Settings
	place    uint64
	accepted map[string][]roster.Event // by machine, in the order of their places
	newest   map[string]roster.Time
	later    roster.Time // by which the dates drawn are later
}

// worlds calls check with a share of the worlds that rapid draws, each of an empty history.
func worlds(t *testing.T, check func(t *rapid.T, w *world)) {
	n := 0
	dir := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		if n++; n%share != 0 {
			return
		}
		w := newWorld(t, filepath.Join(dir, fmt.Sprint(n)))
		defer func() { w.w.c.Close() }()
		check(t, w)
	})
}

func newWorld(t *rapid.T, path string) *world {
	w := &world{
		t: t, path: path, accepted: map[string][]roster.Event{}, newest: map[string]roster.Time{},
		settings: roster.Settings{AllowedLateness: time.Duration(minute) * time.Duration(rapid.IntRange(1, 40).Draw(t, "lateness"))},
	}
	w.reopen()
	return w
}

func (w *world) reopen() {
	if w.w != nil {
		if err := w.w.c.Close(); err != nil {
			w.t.Fatal(err)
		}
	}
	c, err := openWriter(w.path)
	if err == nil {
		w.w, err = newWriter(c, w.path)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	w.w.windows.most = 40
	for i := range levels {
		w.w.ended.byUser.levels[i].most, w.w.ended.byMachine.levels[i].most = 2*i+1, 3*i+2
	}
}

// batch draws accepted events of few machines.
func (w *world) batch() *batch {
	b := &batch{settings: w.settings, first: 1, receipt: 1}
	list := events(w.t)
	for i := range list {
		e := list[i]
		e.Date += w.later
		e.Machine = rapid.SampledFrom([]string{"web1", "web2", "web3"}).Draw(w.t, "machine")
		if newest, known := w.newest[e.Machine]; known && e.Date < newest.Add(-w.settings.AllowedLateness) {
			continue
		}
		w.newest[e.Machine] = max(w.newest[e.Machine], e.Date)
		w.place++
		w.accepted[e.Machine] = append(w.accepted[e.Machine], e)
		b.events = append(b.events, Accepted{w.place, e})
	}
	b.end.Place = w.place
	return b
}

// stays returns the stays of a machine in the database.
func (w *world) stays(name string) []Stay {
	m, err := loadMachine(w.w.c, name)
	if err != nil {
		w.t.Fatal(err)
	}
	r := w.w.rows(m.id)
	ended, err := r.since(never)
	if err != nil {
		w.t.Fatal(err)
	}
	open, err := r.open()
	if err != nil {
		w.t.Fatal(err)
	}
	all := (&fold{open: open}).stays()
	for _, s := range ended {
		all = append(all, s.Stay)
	}
	return all
}

func (w *world) check() {
	for _, name := range slices.Sorted(maps.Keys(w.accepted)) {
		o := oracle{events: slices.Clone(w.accepted[name])}
		sortEvents(o.events)
		got, want := sorted(w.stays(name)), sorted(o.stays())
		if !slices.Equal(got, want) {
			w.t.Fatalf("%s: got\n%+v\nwant\n%+v", name, got, want)
		}
	}
	w.checkIndexes()
	w.view(w.checkMarks)
	problems, err := number(w.w.c, "select count(*) from pragma_integrity_check where integrity_check <> 'ok'")
	if err != nil || problems != 0 {
		w.t.Fatalf("%d problems, %v", problems, err)
	}
}

// checkIndexes checks that each index has all stays that have ended, once.
func (w *world) checkIndexes() {
	for _, x := range []*index{w.w.ended.byUser, w.w.ended.byMachine} {
		key := strings.Join(x.columns, ", ")
		for i := range levels - 1 {
			if n, err := number(w.w.c, fmt.Sprintf("select count(*) from %s%d", x.name, i)); err != nil || int(n) > x.levels[i].most || int(n) != x.levels[i].rows {
				w.t.Fatalf("%s%d: %d rows, at most %d, counted %d, %v", x.name, i, n, x.levels[i].most, x.levels[i].rows, err)
			}
		}
		var all []string
		w.w.windows.most = 40
		for i := range levels {
			all = append(all, fmt.Sprintf("select %s from %s%d", key, x.name, i))
		}
		for i, statement := range []string{
			"select count(*) from (select " + key + " from ended except select * from (" + strings.Join(all, " union all ") + "))",
			"select (select count(*) from (" + strings.Join(all, " union all ") + ")) - (select count(*) from ended)",
		} {
			if n, err := number(w.w.c, statement); err != nil || n != 0 {
				w.t.Fatalf("%s: %d of its rows are missing or too many (%d), %v", x.name, n, i, err)
			}
		}
	}
}

// moveAll moves all recent events to the windows.
func (w *writer) moveAll(settings roster.Settings) (err error) {
	if err := exec(w.c, "begin immediate"); err != nil {
		return err
	}
	defer func() { err = w.end(err) }()
	for _, id := range slices.Sorted(maps.Keys(w.windows.recent)) {
		if err := w.moveOne(w.rows(id), settings); err != nil {
			return err
		}
	}
	w.windows.moving = nil
	return exec(w.c, "delete from recent")
}

// TestWriter: in whatever order and batches events arrive, the stays in the database
// are those of all events sorted.
func TestWriter(t *testing.T) {
	worlds(t, func(t *rapid.T, w *world) {
		for range rapid.IntRange(3, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "step") {
			case 0:
				w.reopen()
			case 1:
				if err := w.w.moveAll(w.settings); err != nil {
					t.Fatal(err)
				}
			default:
				batches := []*batch{w.batch()}
				if rapid.IntRange(0, 9).Draw(t, "stricter") == 9 {
					w.settings.AllowedLateness = min(w.settings.AllowedLateness, time.Duration(2*minute))
					batches = append(batches, w.batch())
				}
				if err := w.w.write(batches); err != nil {
					t.Fatal(err)
				}
			}
		}
		w.check()
	})
}
