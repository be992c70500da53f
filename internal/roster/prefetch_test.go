package roster_test

import (
	"fmt"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// TestPrefetched: what was prefetched for an event may be removed by the time it is
// folded, or belong to another name with the same hash.
func TestPrefetched(t *testing.T) {
	a, b := namesOfOneHash()
	for name, events := range map[string][]roster.Event{
		"a user who left and came back": {
			login("other", "chris", ""), logout("web", "lane", "s"), shutdown("web"), login("web", "lane", "s"), login("db", "lane", ""),
		},
		"a user whose number is another's": {
			shutdown("web"), login("web", "chris", ""), login("db", "lane", ""), login("db", "kim", ""),
		},
		"users of one hash":               {login("web", a, ""), login("web", b, ""), login("db", b, ""), logout("web", a, ""), login("db", a, "")},
		"machines of one hash":            {login(a, "kim", ""), login(b, "lane", ""), login(b, "kim", ""), logout(b, "lane", "")},
		"sessions of one hash":            {login("web", "kim", a), login("web", "lane", b), logout("web", "", a), login("web", "kim", "")},
		"a session prefetched, then gone": {logout("web", "lane", "s"), shutdown("web"), login("web", "kim", "s"), logout("web", "kim", "s")},
	} {
		t.Run(name, func(t *testing.T) {
			// What is folded before can be prefetched.
			before := []roster.Event{login("web", "lane", "s"), login("web", a, ""), login("web", "kim", a), login(a, "kim", "")}
			r, o, place := roster.New(settings()), newOracle(10*time.Minute, lateness), uint64(0)
			for _, events := range [][]roster.Event{before, events, {login("last", "lane", ""), login("last", a, ""), login("last", "new", "")}} {
				var batch roster.Batch
				for _, e := range events {
					place++
					e.Date = start + roster.Time(place)*roster.Time(time.Second)
					m := roster.Message{Place: place, Receipt: e.Date, Event: e}
					batch.Messages = append(batch.Messages, m)
					o.read(m)
				}
				batch.End.Place = place
				r.Fold(&batch)
			}
			check(t, r, o)
		})
	}
}

func shutdown(machine string) roster.Event {
	return roster.Event{Type: roster.Shutdown, Machine: machine}
}

// namesOfOneHash returns two names with the same hash.
func namesOfOneHash() (a, b string) {
	seen := map[uint32]string{}
	for i := 0; ; i++ {
		b = fmt.Sprintf("name%d", i)
		if a := seen[roster.HashOf(b)]; a != "" {
			return a, b
		}
		seen[roster.HashOf(b)] = b
	}
}
