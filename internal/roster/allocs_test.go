package roster_test

import (
	"testing"

	"rollcall/internal/roster"
)

// TestNoAllocations: events with known names, which change no details of a session,
// allocate nothing. Their batch does, once.
func TestNoAllocations(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	events := []roster.Event{
		login("web", "lane", ""), login("web", "chris", "c1"), login("db", "lane", "c1"),
		logout("web", "lane", ""), logout("web", "", "c1"), logout("db", "", "c1"),
	}
	batch := roster.Batch{Messages: make([]roster.Message, len(events))}
	place := uint64(0)
	both := func() {
		for i, e := range events {
			place++
			e.Date = start + roster.Time(place)
			batch.Messages[i] = roster.Message{Place: place, Receipt: e.Date, Event: e}
		}
		batch.End.Place = place
		r.Fold(&batch)
	}
	fold(r, roster.Message{Place: 1, Receipt: start, Event: roster.Event{Date: start, Type: roster.Login, Machine: "mail", Session: roster.Session{User: "chris"}}})
	place = 1
	both()
	if n := testing.AllocsPerRun(100, both); n > 1 {
		t.Errorf("%v allocations for a batch of six events", n)
	}
}
