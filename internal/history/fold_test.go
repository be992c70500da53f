package history

import (
	"cmp"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// minute is the grid of the dates of these tests: they meet often.
const minute = roster.Time(time.Minute)

// session draws one of few users and ids, so that they meet.
func session(t *rapid.T, needUser bool) roster.Session {
	s := roster.Session{ID: rapid.SampledFrom([]string{"", "", "1", "2"}).Draw(t, "id")}
	if needUser || s.ID == "" || rapid.Bool().Draw(t, "named") {
		s.User = rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(t, "user")
	}
	return s
}

// events draws accepted events of one machine, in the order in which they arrive.
func events(t *rapid.T) []roster.Event {
	list := make([]roster.Event, rapid.IntRange(0, 40).Draw(t, "events"))
	for i := range list {
		e := &list[i]
		e.Date = 100*minute + minute*roster.Time(rapid.IntRange(0, 40).Draw(t, "date"))
		e.Type = rapid.SampledFrom([]roster.Type{1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 5}).Draw(t, "type")
		switch e.Type {
		case roster.Login:
			e.Session = session(t, true)
			e.Session.Terminal = rapid.SampledFrom([]string{"", "pts/0", "tty1"}).Draw(t, "terminal")
			e.Session.Service = rapid.SampledFrom([]string{"", "", "sshd"}).Draw(t, "service")
		case roster.Logout:
			e.Session = session(t, false)
		case roster.Present:
			for range rapid.IntRange(0, 4).Draw(t, "sessions") {
				s := session(t, true)
				if slices.ContainsFunc(e.Sessions, func(o roster.Session) bool { return KeyOf(&o) == KeyOf(&s) }) {
					continue
				}
				if rapid.Bool().Draw(t, "since given") {
					s.Since = 90*minute + minute*roster.Time(rapid.IntRange(0, 60).Draw(t, "since"))
				}
				s.Remote = rapid.SampledFrom([]string{"", "10.0.0.7"}).Draw(t, "remote")
				e.Sessions = append(e.Sessions, s)
			}
		}
	}
	return list
}

func sorted(stays []Stay) []Stay {
	slices.SortFunc(stays, func(a, b Stay) int {
		return cmp.Or(cmp.Compare(a.Session.Since, b.Session.Since), cmp.Compare(a.Ended, b.Ended), cmp.Compare(a.How, b.How),
			cmp.Compare(a.Session.User, b.Session.User), cmp.Compare(a.Session.ID, b.Session.ID),
			cmp.Compare(a.Session.Terminal, b.Session.Terminal), cmp.Compare(a.Session.Remote, b.Session.Remote),
			cmp.Compare(a.Session.Service, b.Session.Service))
	})
	return stays
}

// TestFold: the fold makes the stays that the definition asks for, they never
// overlap, and none ends before it begins.
func TestFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := oracle{events: events(t)}
		sortEvents(o.events)
		for range rapid.IntRange(0, 2).Draw(t, "losses") {
			o.doubts = append(o.doubts, 100*minute+minute*roster.Time(rapid.IntRange(0, 40).Draw(t, "doubt")))
		}
		slices.Sort(o.doubts)
		got := sorted(foldAll(t, o.events, o.doubts))
		want := sorted(o.stays())
		if !slices.Equal(got, want) {
			t.Fatalf("got\n%+v\nwant\n%+v", got, want)
		}
		for i := range got {
			for j := range got[:i] {
				if overlap(&got[i], &got[j]) {
					t.Fatalf("%+v and %+v overlap", got[i], got[j])
				}
			}
			if s := &got[i]; s.How != NotEnded && s.Session.Since > s.Ended {
				t.Fatalf("%+v ends before it begins", s)
			}
		}
	})
}

// overlap reports whether two stays of one key include a common moment.
func overlap(a, b *Stay) bool {
	if KeyOf(&a.Session) != KeyOf(&b.Session) || a.Session.Since == Unknown || b.Session.Since == Unknown {
		return false
	}
	end := func(s *Stay) roster.Time {
		if s.How == NotEnded {
			return roster.MaxDate
		}
		return s.Ended
	}
	return max(a.Session.Since, b.Session.Since) < min(end(a), end(b))
}

// foldAll returns the stays of events in the order of their stamps.
func foldAll(t *rapid.T, events []roster.Event, doubts []roster.Time) []Stay {
	f := newFold()
	f.begin(doubts, nil)
	if err := f.apply(events); err != nil {
		t.Fatal(err)
	}
	return f.stays()
}

// sortEvents sorts events by their stamps: they are in the order of their places.
func sortEvents(events []roster.Event) {
	slices.SortStableFunc(events, func(a, b roster.Event) int { return cmp.Compare(a.Date, b.Date) })
}
