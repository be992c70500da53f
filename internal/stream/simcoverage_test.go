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

// coverage counts what happened in all runs.
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

// mismatches returns the entries of expected that never happened, and what happened
// without being in expected, so that the list stays complete.
func (c *coverage) mismatches() (list []string) {
	expected := expected()
	for _, what := range expected {
		if c.n[what] == 0 {
			list = append(list, "never happened: "+what)
		}
	}
	for _, what := range slices.Sorted(maps.Keys(c.n)) {
		if !slices.Contains(expected, what) {
			list = append(list, "happened, but was not expected: "+what)
		}
	}
	return list
}

// expected lists what must happen in a run of many seeds.
func expected() []string {
	all := slices.Concat(simulated, consumerFaults)
	for _, o := range ops() {
		all = append(all, "op: "+o.name)
	}
	for _, cause := range causes {
		all = append(all, "consumer recreated: "+cause)
	}
	for _, kind := range incarnations {
		all = append(all, "verdict: "+string(kind))
	}
	for _, d := range disruptions {
		all = append(all, "disruption: "+d.name)
	}
	for _, why := range []roster.Loss{roster.BaselineLost, roster.Truncated, roster.Deleted, roster.Gap} {
		all = append(all, "lost: "+why.String())
	}
	return all
}

// simulated lists what is counted where it takes effect.
var simulated = []string{
	"begins with the first message", "reconnect forced", "consumer deleted", "consumer ends with its stream",
	"crash before a snapshot's name is durable", "crash while a snapshot is written", "known end cut off",
	"events", faultWedge, "forked past the position", "continues after an earlier position",
	"message gone", "message hidden from consumers", "missing stream created", "no snapshot is valid",
	"undetectable incarnation", "old leader answers get", "old leader answers info",
	"older snapshot loaded", "purged exactly up to the position", "request timed out", "request without responders",
	"nothing of the first consumer's messages is lost", "retention removes messages",
	"refused: future", "refused: identity", "refused: late, or new", "refused: malformed", "snapshot cut short",
	"snapshot partly readable", "snapshot with a flipped bit", "snapshot with zeros at its end",
	"snapshot's name lost in a power failure", "stream not created",
	"site: created anew", "site: an earlier life goes on", "site: sourced once more", "site: messages lost", "site: removed before it was sourced",
	"messages of a source are missing", "a source was created anew", "missing of a source, as the stream lost it", "refused: not a machine of its source",
}

// TestCoverage: any fault that no seed covers is reported.
func TestCoverage(t *testing.T) {
	c := coverage{n: map[string]float64{}}
	for _, what := range expected() {
		c.n[what] = 1
	}
	if list := c.mismatches(); len(list) > 0 {
		t.Errorf("everything happened, but got %q", list)
	}
	for _, what := range expected() {
		c.n[what] = 0
		if want := []string{"never happened: " + what}; !slices.Equal(c.mismatches(), want) {
			t.Errorf("%q, want %q", c.mismatches(), want)
		}
		c.n[what] = 1
	}
}
