package history

import (
	"fmt"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// look calls show with what a reader sees of a writer's history.
func look(t *testing.T, w *writer, show func(*View) error) {
	t.Helper()
	must(t, asReader(t, w.path, show))
}

// asReader calls show with what a reader sees of a file.
func asReader(t testing.TB, path string, show func(*View) error) error {
	t.Helper()
	c, err := openReader(path)
	must(t, err)
	defer c.Close()
	return newReader("", c).view(t.Context(), show)
}

// wantGaps compares the machines that have gaps, and the reason for which there may be
// machines that nobody has heard of.
func wantGaps(t *testing.T, w *writer, when, want, hidden string) {
	t.Helper()
	look(t, w, func(v *View) error {
		gaps, err := v.GapsOn(&Filter{}, 0, roster.MaxDate)
		if err != nil {
			return err
		}
		got := ""
		for _, g := range gaps.First {
			got += fmt.Sprintf("%s %s;", g.Machine, g.Reason)
		}
		if got != want {
			t.Errorf("%s: gaps %q, want %q", when, got, want)
		}
		if got, err := v.Hidden(roster.DefaultSettings()); err != nil || got != hidden {
			t.Errorf("%s: the reason of hidden machines is %q, %v; want %q", when, got, err, hidden)
		}
		return nil
	})
}

// TestLossAccepted: an accepted loss makes nothing incomplete, also if it is met again
// or a machine is heard for the first time. What is lost later does.
func TestLossAccepted(t *testing.T) {
	w := filled(t, map[string]int{"web1": 3})
	place := w.state.Position.Place
	lose := func(place uint64) {
		t.Helper()
		if err := w.writeLoss("truncated", roster.Position{Place: place}, roster.DefaultSettings()); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(machine string, place uint64) {
		t.Helper()
		e := Accepted{place, hour(machine, "lane", 9)[0]}
		if err := w.write([]*batch{{end: roster.Position{Place: place}, first: e.Date, events: []Accepted{e}}}); err != nil {
			t.Fatal(err)
		}
	}
	accept := func(place uint64) {
		t.Helper()
		if err := w.accept(place); err != nil {
			t.Fatal(err)
		}
	}
	lose(place + 2)
	hear("web2", place+3)
	wantGaps(t, w, "after a loss", "web1 truncated;web2 truncated;", "truncated")
	accept(place + 1)
	wantGaps(t, w, "after one before it was accepted", "web1 truncated;web2 truncated;", "truncated")
	accept(place + 2)
	wantGaps(t, w, "after it was accepted", "", "")
	hear("web3", place+4)
	lose(place + 2)
	if err := w.reload(); err != nil {
		t.Fatal(err)
	}
	wantGaps(t, w, "when it was met again", "", "")
	lose(place + 6)
	accept(place + 2)
	wantGaps(t, w, "after another loss", "web1 truncated;web2 truncated;web3 truncated;", "truncated")
}

// TestGapEnds: a gap ends with the first boot that was sent after the loss, whatever the
// clock of its machine, and not with one that may have been sent before.
func TestGapEnds(t *testing.T) {
	w := filled(t, map[string]int{"web1": 3})
	settings := roster.DefaultSettings()
	place, resumed := w.state.Position.Place+1, w.state.Receipt+10*roster.Time(time.Hour)
	if err := w.writeLoss("truncated", roster.Position{Place: place}, settings); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		date  roster.Time
		until roster.Time
	}{{resumed.Add(settings.MaxSkew), endOfTime}, {resumed.Add(settings.MaxSkew) + 1, resumed.Add(settings.MaxSkew) + 1}} {
		place++
		e := Accepted{place, roster.Event{Machine: "web1", Type: roster.Boot, Date: c.date}}
		if err := w.write([]*batch{{end: roster.Position{Place: place}, settings: settings, first: resumed, receipt: resumed, events: []Accepted{e}}}); err != nil {
			t.Fatal(err)
		}
		look(t, w, func(v *View) error {
			gaps, err := v.GapsOf("web1", 0, roster.MaxDate)
			if err != nil || len(gaps) != 1 || gaps[0].Until != c.until {
				t.Errorf("after a boot of %v: gaps %+v, %v; want one until %v", c.date, gaps, err, c.until)
			}
			return nil
		})
	}
}
