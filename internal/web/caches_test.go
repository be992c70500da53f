package web

import (
	"fmt"
	"testing"
	"time"
)

// TestOldRemotes: who has sessions from somewhere can be very many. It is not kept when it is
// not used any more.
func TestOldRemotes(t *testing.T) {
	var c remotes
	c.keep("old", remote{machines: []string{"web1"}, read: time.Now().Add(-remoteAge)})
	c.keep("new", remote{machines: []string{"web2"}, read: time.Now()})
	if _, ok := c.kept["new"]; !ok || len(c.kept) != 1 {
		t.Errorf("kept: %v", c.kept)
	}
	c.kept["new"] = remote{read: time.Now().Add(-remoteAge)}
	if c.forget(); len(c.kept) != 0 {
		t.Errorf("kept without a question: %v", c.kept)
	}
}

// TestManySteps: however many sessions the rows have, and of however many moments, what is
// kept of them is bounded.
func TestManySteps(t *testing.T) {
	d := details{kept: map[string]*detail{}}
	busy := func(steps int) *detail { return &detail{ok: true, day: dayline{steps: make([]step, steps)}} }
	for i := range 1000 {
		d.keep(fmt.Sprint(i), busy(10_000))
	}
	steps := 0
	for _, k := range d.kept {
		steps += k.size()
	}
	if steps > maxSteps || steps < maxSteps/2 {
		t.Errorf("%d steps are kept, want at most %d", steps, maxSteps)
	}
	for i := range 2 * maxDetails {
		d.keep(fmt.Sprint("quiet", i), busy(1))
		d.keep("one", busy(i%100))
	}
	if len(d.kept) > maxDetails {
		t.Errorf("%d details are kept", len(d.kept))
	}
	steps = 0
	for _, k := range d.kept {
		steps += k.size()
	}
	if steps != d.steps {
		t.Errorf("%d steps are kept, counted %d", steps, d.steps)
	}
}
