package web

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/api"
)

// TestMost: a user who logs out of one machine at the moment of a login on another was not on
// both at once.
func TestMost(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 22, 12, minute, 0, 0, time.UTC) }
	stay := func(machine string, from, to int) api.PastStay {
		s := api.PastStay{}
		s.Machine, s.Since, s.Ended = machine, at(from), at(to)
		return s
	}
	machine := func(s *api.PastStay) string { return s.Machine }
	for want, stays := range [][]api.PastStay{
		{},
		{stay("a", 1, 5), stay("b", 5, 9), stay("a", 9, 12), stay("a", 10, 11)},
		{stay("a", 1, 5), stay("b", 4, 9), stay("c", 9, 20)},
		{stay("a", 1, 30), stay("b", 4, 9), stay("c", 8, 20)},
	} {
		line := countOver(stays, machine, at(0), at(20))
		if got := line.most(); got != want {
			t.Errorf("of %v at most %d at once, want %d", stays, got, want)
		}
	}
}

// TestDayPaths: a path covers what its level's steps cover, each at least minUnits wide, and
// has few boxes, however many steps there are.
func TestDayPaths(t *testing.T) {
	to := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	box := regexp.MustCompile(`M(\d+) 0H(\d+)V10H(\d+)z`)
	rapid.Check(t, func(t *rapid.T) {
		d := dayline{from: to.Add(-24 * time.Hour), to: to}
		at := d.from.Add(-time.Hour)
		longest := rapid.SampledFrom([]int{1, 60, 600, 7200}).Draw(t, "longest")
		for range rapid.IntRange(0, 200).Draw(t, "steps") {
			at = at.Add(time.Duration(rapid.IntRange(0, longest).Draw(t, "seconds")) * time.Second)
			if at.Before(d.to) {
				d.steps = append(d.steps, step{at, rapid.IntRange(0, 20).Draw(t, "n")})
			}
		}
		var want, got [4][lineUnits + 1]bool
		for i, s := range d.steps {
			end := d.to
			if i+1 < len(d.steps) {
				end = d.steps[i+1].at
			}
			from, until := int(s.at.Sub(d.from).Seconds()*lineUnits/86400), int(end.Sub(d.from).Seconds()*lineUnits/86400)
			if l := usersLevel(s.n); l > 0 && end.After(d.from) {
				from = max(0, min(from, lineUnits-minUnits))
				for x := from; x < max(until, from+minUnits); x++ {
					want[l-1][x] = true
				}
			}
		}
		for l, path := range d.paths(4, usersLevel) {
			boxes := box.FindAllStringSubmatch(path, -1)
			if box.ReplaceAllString(path, "") != "" || len(boxes) > lineUnits/minUnits {
				t.Fatalf("%d boxes: %s", len(boxes), path)
			}
			for _, b := range boxes {
				var left, right, back int
				if n, err := fmt.Sscan(strings.Join(b[1:], " "), &left, &right, &back); n != 3 || err != nil || back != left {
					t.Fatal(path)
				}
				for x := left; x < right; x++ {
					got[l][x] = true
				}
			}
			if got[l] != want[l] {
				t.Fatalf("level %d: %s", l+1, path)
			}
		}
	})
}
