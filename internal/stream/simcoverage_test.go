package stream

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"rollcall/internal/roster"
)

// coverage counts what has happened in all runs.
type coverage struct {
	mu sync.Mutex
	n  map[string]float64
}

func (c *coverage) add(what string, n float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.n[what] += n
}

func (c *coverage) String() string {
	var b strings.Builder
	for _, what := range slices.Sorted(maps.Keys(c.n)) {
		fmt.Fprintf(&b, "\n%9.0f %s", c.n[what], what)
	}
	return b.String()
}

// mismatches tells what was never met, and what was met and is not expected: so what
// is expected stays all that can be met.
func (c *coverage) mismatches() (flaws []string) {
	expected := expected()
	for _, what := range expected {
		if c.n[what] == 0 {
			flaws = append(flaws, "never happened: "+what)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(c.n)) {
		if !slices.Contains(expected, what) {
			flaws = append(flaws, "happened, and was not expected: "+what)
		}
	}
	return flaws
}

// expected is what many seeds must meet.
func expected() []string {
	all := slices.Concat(simulated, consumerFaults)
	for _, o := range ops() {
		all = append(all, "op: "+o.name)
	}
	for _, cause := range causes {
		all = append(all, "consumer made anew: "+cause)
	}
	for _, kind := range incarnations {
		all = append(all, "verdict: "+string(kind))
	}
	for _, t := range disruptions {
		all = append(all, "trouble: "+t.name)
	}
	for _, why := range []roster.Loss{roster.BaselineLost, roster.Truncated, roster.Deleted, roster.Gap} {
		all = append(all, "lost: "+why.String())
	}
	return all
}

// simulated is what is counted where it takes effect.
var simulated = []string{
	"begins with the first message", "connected anew", "consumer deleted", "consumer goes with its stream",
	"crash before a snapshot's name lasts", "crash while a snapshot is written", "end cut off that is known of",
	"events", faultWedge, "forked past the position", "goes on after an earlier position",
	"message gone", "message hidden from consumers", "missing stream made", "no snapshot is whole",
	"nobody can know that it is another incarnation", "old leader answers get", "old leader answers look",
	"older snapshot loaded", "purged exactly up to the position", "question never answered", "question without responders",
	"nothing is lost of what the first consumer had", "retention at work",
	"refused: future", "refused: identity", "refused: late, or new", "refused: malformed", "snapshot cut short",
	"snapshot readable in part", "snapshot with a flipped bit", "snapshot with zeros at its end",
	"snapshot's name lost with the power", "stream not made",
}

// TestCoverage: a fault that no seed meets is told of, whichever it is.
func TestCoverage(t *testing.T) {
	c := coverage{n: map[string]float64{}}
	for _, what := range expected() {
		c.n[what] = 1
	}
	if flaws := c.mismatches(); len(flaws) > 0 {
		t.Errorf("all happened, and it is said: %q", flaws)
	}
	for _, what := range expected() {
		c.n[what] = 0
		if want := []string{"never happened: " + what}; !slices.Equal(c.mismatches(), want) {
			t.Errorf("%q, want %q", c.mismatches(), want)
		}
		c.n[what] = 1
	}
}
