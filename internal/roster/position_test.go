package roster_test

import (
	"encoding/json"
	"testing"

	"rollcall/internal/roster"
)

// TestPlaces: place and sequence convert into each other, whichever is greater; and
// positions from older snapshots, whose base was never negative, decode as before.
func TestPlaces(t *testing.T) {
	for _, c := range []struct {
		place, sequence uint64
		base            int64
	}{{10, 10, 0}, {110, 10, 100}, {1, 1_000_001, -1_000_000}, {0, 1_000_000, -1_000_000}, {5, 1 << 62, 5 - 1<<62}} {
		at := roster.Position{Place: c.place}.On(c.sequence)
		if at.Base != c.base || at.Sequence() != c.sequence || at.PlaceOf(c.sequence+1) != c.place+1 {
			t.Errorf("place %d at sequence %d: %+v, sequence %d", c.place, c.sequence, at, at.Sequence())
		}
		text, err := json.Marshal(at)
		if err != nil {
			t.Fatal(err)
		}
		var again roster.Position
		if err := json.Unmarshal(text, &again); err != nil || again != at {
			t.Errorf("%s is %+v (%v)", text, again, err)
		}
	}
	var old roster.Position
	if err := json.Unmarshal([]byte(`{"place":110,"base":100,"proof":{"stream":"S","sequence":10}}`), &old); err != nil || old.Sequence() != 10 {
		t.Errorf("%+v (%v)", old, err)
	}
}
