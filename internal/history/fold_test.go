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

// events draws accepted events of one machine, in the order of their places.
func events(t *rapid.T) []Event {
	list := make([]Event, rapid.IntRange(0, 40).Draw(t, "events"))
	for i := range list {
		e := &list[i]
		e.Place = uint64(i + 1)
		e.Date = 100*minute + minute*roster.Time(rapid.IntRange(0, 40).Draw(t, "date"))
		e.Type = rapid.SampledFrom([]roster.Type{1, 1, 1, 1, 2, 2, 2, 3, 4, 5, 5}).Draw(t, "type")
		switch e.Type {
		case roster.Login:
			e.Session = session(t, true)
			e.Session.Terminal = rapid.SampledFrom([]string{"", "pts/0", "tty1"}).Draw(t, "terminal")
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
		return cmp.Or(a.compare(&b), cmp.Compare(a.Session.User, b.Session.User), cmp.Compare(a.Session.ID, b.Session.ID))
	})
	return stays
}

// TestFold: the fold makes the stays that the definition asks for, they never
// overlap, and none ends before it begins.
func TestFold(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := oracle{events: events(t)}
		slices.SortFunc(o.events, compareEvents)
		for range rapid.IntRange(0, 2).Draw(t, "losses") {
			o.doubts = append(o.doubts, 100*minute+minute*roster.Time(rapid.IntRange(0, 40).Draw(t, "doubt")))
		}
		slices.Sort(o.doubts)
		got := foldAll(o.events, o.doubts)
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
			if s := &got[i]; s.How != Open && s.Session.Since > s.Ended.Date {
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
		if s.How == Open {
			return roster.MaxDate
		}
		return s.Ended.Date
	}
	return max(a.Session.Since, b.Session.Since) < min(end(a), end(b))
}

// foldAll returns the stays of events in the order of their stamps.
func foldAll(events []Event, doubts []roster.Time) []Stay {
	f := newFold()
	return sorted(f.with(f.fold(events, doubts)))
}

// with adds the open stays.
func (f *fold) with(stays []Stay) []Stay {
	for _, s := range f.open {
		stays = append(stays, *s)
	}
	return stays
}

// TestTimeline: in whatever order events arrive, the stays are those of all events
// sorted. What ended before the window stays as it is.
func TestTimeline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		lateness := minute * roster.Time(rapid.IntRange(1, 40).Draw(t, "lateness"))
		line := newTimeline()
		var stored []Stay
		replace := func(stays []Stay) {
			stored = slices.DeleteFunc(stored, func(s Stay) bool { return s.Ended.After(line.final) })
			stored = append(stored, stays...)
		}
		var o oracle
		newest := never
		for _, e := range events(t) {
			if newest != never && e.Date < newest-lateness {
				continue
			}
			newest = max(newest, e.Date)
			if rapid.IntRange(0, 9).Draw(t, "lost") == 0 {
				o.doubts = append(o.doubts, newest-lateness)
				replace(line.lose(newest - lateness))
			}
			o.events = append(o.events, e)
			if stays, replaced := line.add(e); replaced {
				replace(stays)
			} else {
				stored = append(stored, stays...)
			}
			if rapid.Bool().Draw(t, "settle") {
				line.settle(newest - lateness)
			}
		}
		slices.SortFunc(o.events, compareEvents)
		got, want := sorted(line.now.with(slices.Clone(stored))), sorted(o.stays())
		if !slices.Equal(got, want) {
			t.Fatalf("got\n%+v\nwant\n%+v", got, want)
		}
	})
}
