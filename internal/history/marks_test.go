package history

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// checkMarks compares the marks of some machines within a span with what the definition
// says.
func (w *world) checkMarks(v *View) {
	t := w.t
	f := &Filter{Machines: rapid.SliceOfNDistinct(rapid.SampledFrom(machinesDrawn), 0, 4, rapid.ID).Draw(t, "marks of")}
	if match := rapid.SampledFrom([]string{"", "", "web1", "web2"}).Draw(t, "marks match"); match != "" {
		f.Match = func(name string) bool { return name == match }
	}
	from, to := moment(t, "marks from"), moment(t, "marks to")+w.later
	most := rapid.IntRange(1, 12).Draw(t, "most marks")
	o := oracle{}
	for _, name := range f.Machines {
		if f.Match == nil || f.Match(name) {
			o.events = append(o.events, w.accepted[name]...)
		}
	}
	want := slices.DeleteFunc(o.marks(), func(m Mark) bool { return m.Date < from || m.Date > to })
	wantMore := len(want) > most
	want = want[:min(most, len(want))]
	got, more, err := v.Marks(f, from, to, most)
	if err != nil || more != wantMore || !slices.Equal(got, want) {
		t.Fatalf("%q from %v to %v, at most %d: got %v, more %t, %v\nwant %v, more %t", f.Machines, from, to, most, got, more, err, want, wantMore)
	}
}

// checkMarks compares the marks of a machine with what was told, where the history does
// not say that it may lack some.
func (s *sim) checkMarks(name string, o *oracle, gaps []Gap) {
	var got []Mark
	var kept roster.Time
	err := s.history.View(s.Context(), func(v *View) (err error) {
		kept = v.Kept
		got, _, err = v.Marks(&Filter{Machines: []string{name}}, 0, roster.MaxDate, 10_000)
		return err
	})
	if err != nil {
		s.Fatal(err)
	}
	want := o.marks()
	if len(gaps) > 0 || kept > 0 {
		early := roster.Time(0)
		if s.ahead {
			early = 40 * minute // it judged others by an older date
		}
		unknown := func(m Mark) bool {
			return m.Date < kept || slices.ContainsFunc(gaps, func(g Gap) bool { return g.From-early <= m.Date && m.Date < g.Until })
		}
		got, want = slices.DeleteFunc(got, unknown), slices.DeleteFunc(want, unknown)
	}
	if !slices.Equal(got, want) {
		s.Fatalf("%s: marks\n%v\nwant\n%v; gaps %v, kept from %v", name, got, want, gaps, kept)
	}
}

// marksOf returns the dates of a machine's marks, the oldest first.
func marksOf(t *testing.T, w *writer, name string) (dates []roster.Time) {
	look(t, w, func(v *View) error {
		list, _, err := v.Marks(&Filter{Machines: []string{name}}, 0, roster.MaxDate, 1<<20)
		for _, m := range slices.Backward(list) {
			dates = append(dates, m.Date)
		}
		return err
	})
	return dates
}

// booted writes boots of a machine, dated at these hours.
func booted(t *testing.T, w *writer, name string, hours ...int) {
	t.Helper()
	b := &batch{settings: roster.DefaultSettings(), end: w.state.Position, first: 1, receipt: w.state.Receipt}
	for _, n := range hours {
		b.end.Place++
		b.events = append(b.events, Accepted{b.end.Place, roster.Event{Machine: name, Type: roster.Boot, Date: roster.Time(n) * roster.Time(time.Hour)}})
		b.receipt = max(b.receipt, b.events[len(b.events)-1].Date)
	}
	if err := w.write([]*batch{b}); err != nil {
		t.Fatal(err)
	}
}

// TestLateForTheHistory: a boot that the fold accepted is a mark although it is too late for
// the history to place it among the stays, also if it is one of the first events of its
// machine.
func TestLateForTheHistory(t *testing.T) {
	w := filled(t, map[string]int{"web1": 1000})
	booted(t, w, "web1", 3)
	booted(t, w, "web2", 1000, 3)
	const first, last = 3 * roster.Time(time.Hour), 1000 * roster.Time(time.Hour)
	if got := marksOf(t, w, "web1"); !slices.Equal(got, []roster.Time{first}) {
		t.Errorf("web1: marks %v", got)
	}
	if got := marksOf(t, w, "web2"); !slices.Equal(got, []roster.Time{first, last}) {
		t.Errorf("web2: marks %v", got)
	}
	wantGaps(t, w, "after boots that were late", "web1 differed;web2 differed;", "")
}

// TestExpireMarks: what was longer ago than stays are kept is deleted, and nothing else.
func TestExpireMarks(t *testing.T) {
	w := filled(t, map[string]int{"web1": 1})
	for n := 1; n <= 1000; n++ {
		booted(t, w, "web1", n)
	}
	booted(t, w, "web2", 10)
	retainAll(t, w, 100*time.Hour, 1<<40)
	got := marksOf(t, w, "web1")
	if w.state.Kept == 0 || len(got) != 101 || got[0] != w.state.Kept {
		t.Errorf("kept since %v: %d marks, the first at %v", w.state.Kept, len(got), got[0])
	}
	if got := marksOf(t, w, "web2"); got != nil {
		t.Errorf("web2: marks %v", got)
	}
}

// TestEvictMarks: over the bound the machine with the most bytes loses its oldest marks,
// which is recorded, and others lose none.
func TestEvictMarks(t *testing.T) {
	w := filled(t, map[string]int{"web1": 500})
	booted(t, w, "web1", 501)
	hours := make([]int, 50_000)
	for i := range hours {
		hours[i] = i + 1
	}
	booted(t, w, "flood", hours...)
	size, err := w.size()
	if err != nil {
		t.Fatal(err)
	}
	retainAll(t, w, time.Duration(roster.MaxDate), size/2)
	if got := marksOf(t, w, "web1"); len(got) != 1 {
		t.Errorf("web1: marks %v", got)
	}
	got := marksOf(t, w, "flood")
	_, gaps := ofMachine(t, w, "flood")
	if len(got) == 0 || len(got) > len(hours)*9/10 || got[len(got)-1] != roster.Time(len(hours))*roster.Time(time.Hour) || cmp.Compare(gaps[0][1], got[0]) > 0 {
		t.Errorf("flood: %d marks from %v on, gaps %v", len(got), got[:min(1, len(got))], gaps)
	}
}

// TestViewsOfAnEarlierVersion: a file that an earlier version made gets the views that it
// lacks, and people read in them what was written before.
func TestViewsOfAnEarlierVersion(t *testing.T) {
	w := filled(t, map[string]int{"web1": 1})
	booted(t, w, "web1", 30)
	if err := run(w.c, "drop view boots"); err != nil {
		t.Fatal(err)
	}
	c, err := openWriter(w.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got := ""
	err = each(c, func(q *query) {
		got += fmt.Sprint(q.ColumnText(0), " ", q.ColumnText(1), " ", q.ColumnText(2), " ", q.ColumnInt64(3))
	}, "select machine, time, kind, time_ns from boots where machine = 'web1'")
	if want := "web1 1970-01-02T06:00:00.000Z boot 108000000000000"; got != want || err != nil {
		t.Errorf("got %q, %v; want %q", got, err, want)
	}
}
