package query

import (
	"reflect"
	"testing"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestIncomplete: what was lost, or refused because of a limit, shows in the answers
// about the machines that it concerns, and in no others.
func TestIncomplete(t *testing.T) {
	settings := roster.DefaultSettings()
	settings.MaxSessionsPerMachine = 1
	r := roster.New(settings)
	kit.Feed(r, kit.Login("full", "lane"), kit.Login("lost", "lane"), kit.Login("settled", "lane"))
	end := r.Status().Position
	end.Place += 2
	r.Fold(&roster.Batch{End: end, Missing: roster.Truncated})
	afterLoss := func(kind roster.Type, machine string) roster.Event {
		return roster.Event{Type: kind, Machine: machine, Date: roster.TimeOf(kit.At.Add(10*time.Minute + 6500*time.Millisecond))}
	}
	kit.Feed(r, kit.Login("settled", "lane"))
	kit.Feed(r, afterLoss(roster.Boot, "settled"), afterLoss(roster.Shutdown, "full"))
	late := afterLoss(roster.Present, "full")
	late.Date++
	late.Sessions = []roster.Session{{User: "lane"}, {User: "chris"}}
	kit.Feed(r, late)
	nc, st := serve(t, source(r)), r.Status()
	if st.SettlesAfter() == 0 {
		t.Error("settles_after is missing")
	}
	for machine, want := range map[string][]string{"full": {"limit"}, "lost": {"truncated"}, "settled": {}} {
		got := pagesOf[api.MachineAnswer](t, nc, "machine", api.MachineRequest{Machine: machine})
		var settles time.Time
		if machine == "lost" {
			settles = timeOf(st.SettlesAfter())
		}
		if h := got[0].Head; !h.SettlesAfter.Equal(settles) || !reflect.DeepEqual(h.Reasons, want) || h.Complete != (len(want) == 0) || !h.CompleteAfter.IsZero() {
			t.Errorf("%s: %+v, want %q", machine, h, want)
		}
	}
	pages := fetch(t, nc, 0)
	incomplete := map[string]bool{}
	for _, m := range pages[0].Machines {
		incomplete[m.Name] = m.Incomplete
	}
	if want := map[string]bool{"full": true, "lost": true, "settled": false}; !reflect.DeepEqual(incomplete, want) {
		t.Errorf("incomplete are %v, want %v", incomplete, want)
	}
	after := st.CompleteAfter.Time()
	if p := pages[0]; p.Complete || p.Unsettled != 1 || !p.CompleteAfter.Equal(after) || !p.SettlesAfter.Equal(timeOf(st.SettlesAfter())) || !reflect.DeepEqual(p.Reasons, []string{"truncated"}) {
		t.Errorf("the fleet: %+v", p)
	}
	if got := pagesOf[api.StatusAnswer](t, nc, "status", api.StatusRequest{})[0]; got.Limited != 1 || got.Unsettled != 1 {
		t.Errorf("status %+v", got)
	}
}
