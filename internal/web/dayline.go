package web

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"rollcall/internal/api"
)

// A dayline is how many were on over time: a step for each change.
type dayline struct {
	from, to time.Time
	steps    []step // in order; 0 before the first
}

// step is a moment, and how many are on from then on.
type step struct {
	at time.Time
	n  int
}

// countOver returns how many different names the stays have at once, over a span of time.
// An open stay lasts until the end.
func countOver(stays []api.PastStay, name func(*api.PastStay) string, from, to time.Time) dayline {
	type edge struct {
		at   time.Time
		name string
		by   int
	}
	edges := make([]edge, 0, 2*len(stays))
	for i := range stays {
		s := &stays[i]
		if s.Since.IsZero() && s.Ended.IsZero() || s.Since.After(to) {
			continue
		}
		since := s.Since
		if since.Before(from) {
			since = from
		}
		if s.SinceUnknown {
			since = s.Ended
		}
		edges = append(edges, edge{since, name(s), 1})
		if !s.Ended.IsZero() && !s.Ended.After(to) {
			edges = append(edges, edge{s.Ended, name(s), -1})
		}
	}
	// An arrival comes before a departure of the same time, so that a short stay shows.
	slices.SortStableFunc(edges, func(a, b edge) int { return cmp.Or(a.at.Compare(b.at), b.by-a.by) })
	d := dayline{from: from, to: to}
	sessions := map[string]int{}
	on := 0
	for _, e := range edges {
		before := sessions[e.name]
		sessions[e.name] = before + e.by
		switch {
		case before == 0 && e.by > 0:
			on++
		case before == 1 && e.by < 0:
			on--
		default:
			continue
		}
		d.steps = append(d.steps, step{e.at, on})
	}
	return d
}

// extended returns the line up to a later time, with the number that is on since a moment.
func (d dayline) extended(at, to time.Time, n int) dayline {
	next := dayline{from: to.Add(d.from.Sub(d.to)), to: to, steps: slices.Clone(d.steps)}
	if last := len(next.steps) - 1; last < 0 || next.steps[last].n != n {
		if last >= 0 && at.Before(next.steps[last].at) {
			at = next.steps[last].at
		}
		next.steps = append(next.steps, step{at, n})
	}
	return next
}

// newest returns the time of the last step; zero: there is none.
func (d *dayline) newest() time.Time {
	if len(d.steps) == 0 {
		return time.Time{}
	}
	return d.steps[len(d.steps)-1].at
}

// most returns the greatest number that were on at once. Where one departs at the moment at
// which another arrives, the two were not on at once.
func (d *dayline) most() (most int) {
	for i, s := range d.steps {
		//guard:false "a user who moves to another machine is not on two at once" TestMost
		if i+1 < len(d.steps) && !d.steps[i+1].at.After(s.at) {
			continue
		}
		most = max(most, s.n)
	}
	return most
}

// lineUnits is the width of a drawn line, in its own units. A stay is at least minUnits
// wide, so that it can be seen.
const (
	lineUnits = 1440
	minUnits  = 3
)

// paths returns a line as paths of SVG, one for each level: level says which one a number
// belongs to, from 1 to levels; 0: none. It is drawn in a box of lineUnits times 10.
// Boxes of a level that touch are one, so that a path has lineUnits/minUnits at most.
func (d *dayline) paths(levels int, level func(n int) int) []string {
	type box struct{ left, right int }
	drawn, boxes := make([][]byte, levels), make([]box, levels)
	draw := func(l int, b box) {
		if b.right > b.left {
			drawn[l] = fmt.Appendf(drawn[l], "M%d 0H%dV10H%dz", b.left, b.right, b.left)
		}
	}
	for i, s := range d.steps {
		l := level(s.n) - 1
		if l < 0 {
			continue
		}
		end := d.to
		if i+1 < len(d.steps) {
			end = d.steps[i+1].at
		}
		if !end.After(d.from) {
			continue
		}
		left, right := d.x(s.at), d.x(end)
		left = max(0, min(left, lineUnits-minUnits))
		right = max(right, left+minUnits)
		if b := &boxes[l]; left <= b.right {
			b.right = max(right, b.right)
		} else {
			draw(l, *b)
			*b = box{left, right}
		}
	}
	paths := make([]string, levels)
	for l, b := range boxes {
		draw(l, b)
		paths[l] = string(drawn[l])
	}
	return paths
}

// x returns where a time is drawn, in lineUnits.
func (d *dayline) x(t time.Time) int {
	return int(lineUnits * t.Sub(d.from) / d.to.Sub(d.from))
}

// unheard returns from where on nothing is known, after a last word. It is within the line, so
// that it can be seen.
func (d *dayline) unheard(last time.Time) int { return max(0, min(lineUnits-minUnits, d.x(last))) }

// usersLevel is the level of so many users on a machine: that of the tiles of the map.
func usersLevel(n int) int {
	switch {
	case n >= 15:
		return 4
	case n >= 5:
		return 3
	case n >= 2:
		return 2
	}
	return n
}
