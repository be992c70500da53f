package history

import (
	"maps"
	"slices"

	"rollcall/internal/roster"
)

// timeline makes the stays of one machine from its accepted events, in whatever
// order they arrive. It keeps the events of the window, those that a late event may
// still come before, and folds the others for good.
type timeline struct {
	base   *fold        // of the events before the window
	final  roster.Stamp // of the last of them: stays that ended by then don't change
	window []Event      // in the order of their stamps
	doubts []roster.Time
	now    *fold // of all events
}

func newTimeline() *timeline {
	return &timeline{base: newFold(), now: newFold()}
}

// add adds an event. Unless it is late it returns the stays that it ended. If it is
// late, all stays that ended after final are made again: they replace those.
func (t *timeline) add(e Event) (ended []Stay, replaced bool) {
	n := len(t.window)
	at, _ := slices.BinarySearchFunc(t.window, e, compareEvents)
	t.window = slices.Insert(t.window, at, e)
	if at == n {
		return t.now.fold(t.window[at:], t.doubts), false
	}
	return t.fold(), true
}

// lose records that events dated at this date or later may be missing. It returns
// the stays that replace those that ended after final.
func (t *timeline) lose(from roster.Time) []Stay {
	at, _ := slices.BinarySearch(t.doubts, from)
	t.doubts = slices.Insert(t.doubts, at, from)
	return t.fold()
}

// fold folds the whole window again.
func (t *timeline) fold() []Stay {
	t.now = t.base.clone()
	return t.now.fold(t.window, t.doubts)
}

// settle folds the events dated before a date for good.
func (t *timeline) settle(before roster.Time) {
	n, _ := slices.BinarySearchFunc(t.window, before, func(e Event, d roster.Time) int { return int(min(max(e.Date-d, -1), 1)) })
	if n == 0 {
		return
	}
	t.base.fold(t.window[:n], t.doubts)
	t.final = t.window[n-1].Stamp()
	t.window = slices.Clone(t.window[n:])
}

// clone returns a copy that shares nothing.
func (f *fold) clone() *fold {
	c := *f
	c.open = make(map[Key]*Stay, len(f.open))
	for k, s := range f.open {
		stay := *s
		c.open[k] = &stay
	}
	c.floors, c.off, c.cleared = maps.Clone(f.floors), maps.Clone(f.off), maps.Clone(f.cleared)
	return &c
}
