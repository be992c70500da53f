package web

import (
	"cmp"
	"slices"
	"time"

	"rollcall/internal/api"
)

// timeline draws sessions over time: a lane for each user of a machine, or for each
// machine of a user.
type timeline struct {
	From, To time.Time
	Ticks    []tick
	Lanes    []lane
	// More counts the lanes that are left out.
	More int
	// Band has the paths of how many machines a user was on at once, by level; nil: none.
	// Most is the greatest such number.
	Band []string
	Most int
	// Red says that the last level of the band is that of a person on many machines.
	Red   bool
	Marks []mark
	// BandUnheard is where the time begins in which all these machines are silent, in
	// lineUnits; -1: never.
	BandUnheard int
	// Cut says that older sessions are left out.
	Cut bool
}

// lane is what one name did.
type lane struct {
	Name, URL string
	On        bool // at the end
	Bars      []bar
	// Unheard is where the time begins about which nothing is known; empty: never.
	Unheard, UnheardWidth string
	last                  time.Time
}

// bar is a session, or several that are too near each other to tell apart.
type bar struct {
	X, Width string
	Open     bool
	From, To time.Time
	Sessions int
}

// mark is a boot or a shutdown, and how many more there were shortly before it.
type mark struct {
	X    string
	At   time.Time
	Kind string
	More int
}

// maxBars and maxMarks bound the bars and the marks: beyond them, neighbours are joined.
const (
	maxLanes = 40
	maxBars  = 250
	maxMarks = 60
)

// newTimeline returns a timeline of stays: name says which lane one belongs to, url where
// its name leads.
func newTimeline(stays []api.PastStay, from, to time.Time, name func(*api.PastStay) string, url func(string) string) *timeline {
	t := &timeline{BandUnheard: -1, From: from, To: to, Ticks: ticks(from, to, tickStep(to.Sub(from)))}
	lanes := map[string]*lane{}
	for i := range stays {
		s := &stays[i]
		l := lanes[name(s)]
		if l == nil {
			l = &lane{Name: name(s), URL: url(name(s))}
			lanes[l.Name] = l
		}
		b := bar{From: s.Since, To: s.Ended, Sessions: 1}
		if s.SinceUnknown {
			b.From = s.Ended
		}
		if b.Open = s.Ended.IsZero() || s.Ended.After(to); b.Open {
			b.To, l.On = to, true
		}
		l.Bars = append(l.Bars, b)
		if l.last.Before(b.To) {
			l.last = b.To
		}
	}
	for _, l := range lanes {
		slices.SortFunc(l.Bars, func(a, b bar) int { return a.From.Compare(b.From) })
		t.Lanes = append(t.Lanes, *l)
	}
	// Whoever came last is on top, and above those who have left.
	slices.SortFunc(t.Lanes, func(a, b lane) int {
		if a.On != b.On {
			if a.On {
				return -1
			}
			return 1
		}
		began := b.Bars[len(b.Bars)-1].From.Compare(a.Bars[len(a.Bars)-1].From)
		return cmp.Or(b.last.Compare(a.last), began, cmp.Compare(a.Name, b.Name))
	})
	t.More = max(0, len(t.Lanes)-maxLanes)
	t.Lanes = t.Lanes[:len(t.Lanes)-t.More]
	t.join()
	return t
}

// join joins bars until there are few enough, and places them.
func (t *timeline) join() {
	span := t.To.Sub(t.From)
	for near := span / 2000; ; near *= 2 {
		count := 0
		for i := range t.Lanes {
			t.Lanes[i].Bars = joined(t.Lanes[i].Bars, near)
			count += len(t.Lanes[i].Bars)
		}
		if count <= maxBars || near > span {
			break
		}
	}
	for i := range t.Lanes {
		for n := range t.Lanes[i].Bars {
			b := &t.Lanes[i].Bars[n]
			left := b.From
			if left.Before(t.From) {
				left = t.From
			}
			b.X = percent(left, t.From, t.To)
			b.Width = percent(t.From.Add(max(b.To.Sub(left), span/700)), t.From, t.To)
		}
	}
}

// unheard says that nothing is known of a lane after the last word of its machine.
func (t *timeline) unheard(l *lane, last time.Time) {
	l.Unheard, l.UnheardWidth = percent(last, t.From, t.To), percent(t.From.Add(t.To.Sub(last)), t.From, t.To)
}

// mark puts boots and shutdowns into the timeline, the latest first.
func (t *timeline) mark(marks []api.Mark) {
	span := t.To.Sub(t.From)
	for near := time.Duration(0); ; near = max(2*near, span/2000) {
		t.Marks = t.Marks[:0]
		var next time.Time // of the mark before in the list
		for _, m := range marks {
			if last := len(t.Marks) - 1; last >= 0 && next.Sub(m.Time) < near {
				t.Marks[last].More++
			} else {
				t.Marks = append(t.Marks, mark{percent(m.Time, t.From, t.To), m.Time, m.Kind, 0})
				next = m.Time
			}
		}
		if len(t.Marks) <= maxMarks {
			break
		}
	}
}

// joined returns bars in which no two are near each other.
func joined(bars []bar, near time.Duration) (rest []bar) {
	for _, b := range bars {
		last := len(rest) - 1
		if last < 0 || b.From.Sub(rest[last].To) > near {
			rest = append(rest, b)
			continue
		}
		rest[last].Sessions += b.Sessions
		rest[last].Open = rest[last].Open || b.Open
		if rest[last].To.Before(b.To) {
			rest[last].To = b.To
		}
	}
	return rest
}
