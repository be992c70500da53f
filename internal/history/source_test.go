package history

import (
	"testing"

	"rollcall/internal/roster"
)

// TestSourceLoss: what a source has lost is a loss of the history, after the message that
// showed it.
func TestSourceLoss(t *testing.T) {
	b := &roster.Batch{Messages: make([]roster.Message, 4)}
	for i := range b.Messages {
		m := &b.Messages[i]
		m.Place, m.Receipt = uint64(i+1), roster.Time(i+1)
		m.Event = roster.Event{Date: m.Receipt, Type: roster.Boot, Machine: "web"}
	}
	b.Messages[1].Missing, b.Messages[2].Recreated = 3, true
	b.End.Place = 4
	s := splitter{settings: roster.DefaultSettings()}
	got := s.split(b, new(roster.Status))
	want := []struct {
		lost        string
		lostTo, end uint64
		events      int
	}{{"", 0, 2, 2}, {"source_gap", 2, 3, 1}, {"source_recreated", 3, 4, 1}}
	if len(got) != len(want) {
		t.Fatalf("%d batches: %+v", len(got), got)
	}
	for i, w := range want {
		if g := got[i]; g.lost != w.lost || g.lostTo != w.lostTo || g.end.Place != w.end || len(g.events) != w.events {
			t.Errorf("batch %d: %+v, want %+v", i, g, w)
		}
	}
}
