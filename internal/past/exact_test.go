package past

import (
	"errors"
	"reflect"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestLong: a history that does not fit in memory at once is folded bit by bit,
// and what comes too late for that is counted.
func TestLong(t *testing.T) {
	w := lonely(t, settings(1000*time.Hour), func(c *Config) { c.MaxRecords = 100 })
	for i := range 3000 {
		e := kit.Login("web", "lane")
		if i%2 == 1 {
			e = kit.Logout("web", "lane")
		}
		w.send(at(ago(100-float64(i)/100), e), i%3 == 0)
	}
	w.read(t, t)
	q := Question{Machine: "web", Stays: true, From: ago(85), To: ago(84.5)}
	a := w.ask(t, t, q)
	want := wantStays(w.oracle.stays(w.oracle.events(1), q.From, q.To), q)
	if !reflect.DeepEqual(a.Stays, want) || a.Unplaced != 0 || len(want) < 25 {
		t.Fatalf("%v, %d unplaced, want %v", a.Stays, a.Unplaced, want)
	}
	if _, err := w.Ask(t.Context(), Question{Stays: true, To: roster.MaxDate}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("all of it: %v, want ErrTooLarge", err)
	}
	w.send(at(ago(99.995), kit.Login("web", "chris")), false)
	w.send(at(ago(1), kit.Login("web", "chris")), false) // now the roster has forgotten the other
	w.read(t, t)
	if a := w.ask(t, t, q); a.Unplaced != 1 || a.Place != 3002 {
		t.Errorf("%d unplaced at place %d, want 1", a.Unplaced, a.Place)
	}
}

// TestIncomplete: an answer says that the stream began after the moment, and
// when; not where the roster knows.
func TestIncomplete(t *testing.T) {
	w := lonely(t, settings(1000*time.Hour))
	w.send(at(ago(50), kit.Login("web", "lane")), false)
	w.send(at(ago(40), kit.Login("db", "lane")), false)
	w.send(at(ago(30), kit.Logout("web", "lane")), false)
	w.send(at(ago(20), kit.Login("web", "chris")), false)
	w.read(t, t)
	if a := w.ask(t, t, Question{Machine: "web", To: ago(45)}); a.Incomplete || len(onOf(a.On)["web"]) != 1 {
		t.Errorf("while all is there: %+v", a)
	}
	w.purge(t, t, 3)
	third, err := w.stream.GetMsg(t.Context(), 3)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name       string
		q          Question
		incomplete bool
	}{
		{"before the stream", Question{Machine: "web", To: ago(45)}, true},
		{"a user", Question{User: "lane", To: ago(45)}, true},
		{"all", Question{To: ago(35)}, true},
		{"stays", Question{Stays: true, From: ago(35), To: roster.MaxDate}, true},
		{"known from the roster", Question{Machine: "db", To: ago(35)}, false},
		{"after the newest date", Question{To: ago(0)}, false},
		{"stays since the stream began", Question{Stays: true, From: roster.TimeOf(third.Time), To: roster.MaxDate}, false},
	} {
		a := w.ask(t, t, c.q)
		if a.Incomplete != c.incomplete || c.incomplete && a.From != roster.TimeOf(third.Time) {
			t.Errorf("%s: incomplete %v until %v, want %v", c.name, a.Incomplete, a.From, c.incomplete)
		}
	}
	w.purge(t, t, 5)
	if a := w.ask(t, t, Question{Machine: "web", To: ago(25)}); !a.Incomplete || a.From < roster.TimeOf(third.Time) {
		t.Errorf("an empty stream: %+v", a)
	}
}

// TestLateForWhatIsGone: what was refused as late because of an event that the
// stream no longer has, but the roster remembers, does not count.
func TestLateForWhatIsGone(t *testing.T) {
	w := lonely(t, settings(10*time.Hour))
	w.send(at(ago(5), kit.Login("web", "lane")), false)
	w.send(at(ago(20), kit.Login("web", "late")), false)
	w.send(at(ago(1), kit.Login("web", "chris")), false)
	w.read(t, t)
	w.purge(t, t, 2)
	want := []On{{Machine: "web"}}
	if got := w.ask(t, t, Question{Machine: "web", To: ago(6)}).On; !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want nobody", got)
	}
	if got := w.ask(t, t, Question{Stays: true, To: roster.MaxDate}).Stays; len(got) != 2 {
		t.Errorf("%v, want two", got)
	}
}

// TestRefusedForWantOfRoom: what the service had no room for is told as gone,
// and is not there when nothing came after it.
func TestRefusedForWantOfRoom(t *testing.T) {
	s := settings(1000 * time.Hour)
	s.MaxSessionsPerMachine = 1
	w := lonely(t, s)
	w.send(at(ago(5), kit.Login("web", "lane")), false)
	w.send(at(ago(4), kit.Login("web", "chris")), false)
	w.read(t, t)
	how := map[string]Ending{}
	for _, s := range w.ask(t, t, Question{Stays: true, To: roster.MaxDate}).Stays {
		how[s.Session.User] = s.How
	}
	if want := map[string]Ending{"lane": Open, "chris": Gone}; !reflect.DeepEqual(how, want) {
		t.Errorf("%v, want %v", how, want)
	}
	if got := w.ask(t, t, Question{To: roster.MaxDate}).On; len(got) != 1 || got[0].Session.User != "lane" {
		t.Errorf("%v, want lane", got)
	}
}

// TestRosterKnowsBetter: what the service refused ends no stay that the roster
// has open, even where that can't be judged again.
func TestRosterKnowsBetter(t *testing.T) {
	lane := roster.Event{Type: roster.Login, Machine: "web", Session: roster.Session{User: "lane", ID: "1"}}
	bob := lane
	bob.Session.User = "bob"
	t.Run("late", func(t *testing.T) {
		w := lonely(t, settings(10*time.Hour))
		w.send(at(ago(50), lane), false)
		w.send(at(ago(1), kit.Logout("web", "carol")), false)
		w.send(at(ago(40), bob), false) // refused, for an event of which nothing will be left
		w.send(at(ago(0.5), kit.Logout("web", "carol")), false)
		w.read(t, t)
		w.purge(t, t, 3)
		w.wantOpen(t, "lane")
	})
}

// wantOpen: this user's stay is open, and no other is.
func (w *world) wantOpen(t *testing.T, user string) {
	t.Helper()
	a := w.ask(t, t, Question{Stays: true, To: roster.MaxDate})
	open := 0
	for _, s := range a.Stays {
		if s.How == Open && s.Session.User == user {
			open++
		} else if s.How == Open {
			t.Errorf("%v is open", s)
		}
	}
	if open != 1 {
		t.Errorf("%d stays of %s are open, want 1: %v", open, user, a.Stays)
	}
}

// TestNotYetRead: what the roster has not read is in no answer.
func TestNotYetRead(t *testing.T) {
	w := lonely(t, settings(1000*time.Hour))
	w.send(at(ago(5), kit.Login("web", "lane")), false)
	w.read(t, t)
	w.send(at(ago(4), kit.Login("web", "chris")), true)
	w.send(at(ago(3), kit.Logout("web", "lane")), false)
	w.store(t)
	for _, machine := range []string{"", "web"} {
		a := w.ask(t, t, Question{Machine: machine, Stays: true, To: roster.MaxDate})
		if len(a.Stays) != 1 || a.Stays[0].How != Open || a.Place != 1 {
			t.Errorf("machine %q: %v at place %d", machine, a.Stays, a.Place)
		}
	}
}

// TestAheadOfThePosition: a machine may be seen in the middle of a batch; then
// it is read as far as it tells.
func TestAheadOfThePosition(t *testing.T) {
	for name, last := range map[string]roster.Event{
		"session": kit.Login("web", "chris"), "cleared": kit.Logout("web", "lane"), "reset": {Type: roster.Boot, Machine: "web"},
	} {
		r := roster.New(roster.DefaultSettings())
		kit.Feed(r, kit.Login("web", "lane"), last)
		i := &inquiry{Questions: &Questions{config: Config{Roster: r}}, question: Question{Machine: "web", Stays: true, To: roster.MaxDate}}
		f := i.newFold()
		f.limit = 100
		if place, err := i.recallMachine(f, 1); err != nil || place != 2 {
			t.Errorf("%s: place %d, %v, want 2", name, place, err)
		}
	}
}

// TestPlaced: of what is before the fold, only what the roster remembers whole
// has its place.
func TestPlaced(t *testing.T) {
	m := machine{folded: roster.Stamp{Date: 10, Place: 10}, remembered: []record{
		{stamp: roster.Stamp{Date: 1, Place: 1}, kind: roster.Present},
		{stamp: roster.Stamp{Date: 2, Place: 2}, kind: roster.Login},
	}}
	for _, c := range []struct {
		kind   roster.Type
		at     roster.Time
		placed bool
	}{{roster.Present, 1, false}, {roster.Login, 2, true}, {roster.Login, 3, false}, {roster.Login, 11, true}} {
		if _, got := m.add(record{stamp: roster.Stamp{Date: c.at, Place: uint64(c.at)}, kind: c.kind}); got != c.placed {
			t.Errorf("%v at %d: placed %v, want %v", c.kind, c.at, got, c.placed)
		}
	}
}

func TestEndings(t *testing.T) {
	seen := map[string]bool{}
	for _, e := range Endings() {
		if e.String() == "" || seen[e.String()] {
			t.Errorf("ending %d is %q", e, e)
		}
		seen[e.String()] = true
	}
}
