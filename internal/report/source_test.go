package report

import (
	"slices"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// TestSilentUntil: no machine becomes silent while the events of the stream are
// unknown.
func TestSilentUntil(t *testing.T) {
	heard, at := roster.TimeOf(kit.At), kit.At.Add(2*time.Hour)
	for _, tt := range []struct {
		until time.Time
		want  bool
	}{
		{at, true},
		{at.Add(time.Hour), true},
		{kit.At.Add(time.Hour + time.Second), true},
		{kit.At.Add(time.Hour), false},
		{time.Time{}, false},
	} {
		s := Source{SilentAfter: time.Hour, KnownUntil: func() time.Time { return tt.until }}
		if got := s.Silent(heard, 0, at); got != tt.want {
			t.Errorf("known until %v: silent %t, want %t", tt.until, got, tt.want)
		}
	}
	if s := (Source{SilentAfter: time.Hour}); !s.Silent(heard, 0, at) {
		t.Error("not silent where all is known")
	}
}

// TestSilentEvery: a machine that says how often it lists who is on is silent after twice
// that, whatever is configured.
func TestSilentEvery(t *testing.T) {
	heard := roster.TimeOf(kit.At)
	for _, configured := range []time.Duration{0, time.Minute, time.Hour} {
		s := Source{SilentAfter: configured}
		if s.Silent(heard, 15*time.Minute, kit.At.Add(30*time.Minute)) || !s.Silent(heard, 15*time.Minute, kit.At.Add(30*time.Minute+1)) {
			t.Errorf("silent after %v: not after twice the machine's own", configured)
		}
	}
}

// TestReasonsOfSources: what a site lost is a reason for its machines, not for those of
// another.
func TestReasonsOfSources(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	place := uint64(0)
	heard := func(source string, sequence uint64) {
		place++
		at := roster.TimeOf(kit.At)
		m := roster.Message{Place: place, Receipt: at, Source: roster.Sourced{Name: source, Sequence: sequence}}
		m.Event = roster.Event{Date: at, Type: roster.Login, Machine: source, Session: roster.Session{User: "lane"}}
		b := roster.Batch{Messages: []roster.Message{m}}
		b.End.Place = place
		r.Fold(&b)
	}
	heard("fra", 1)
	heard("ber", 1)
	heard("fra", 3)
	s := source(r)
	st := r.Status()
	if got := s.Reasons(&st); !slices.Equal(got, []string{"source_gap"}) {
		t.Errorf("of all: %v", got)
	}
	for machine, want := range map[string][]string{"fra": {"source_gap"}, "ber": {}} {
		r.Machine(machine, func(v roster.View) {
			if got := s.ReasonsOf(&st, v); !slices.Equal(got, want) {
				t.Errorf("of %s: %v, want %v", machine, got, want)
			}
		})
	}
}

// TestStale: a report says that it may be outdated.
func TestStale(t *testing.T) {
	s := source(kit.Seed())
	st := s.Roster.Status()
	if head := s.Head(&st, kit.At); !head.Complete {
		t.Errorf("not complete: %v", head.Reasons)
	}
	s.Stale = func() bool { return true }
	if head := s.Head(&st, kit.At); head.Complete || !slices.Equal(head.Reasons, []string{"stale"}) {
		t.Errorf("complete %t, %v, want stale", head.Complete, head.Reasons)
	}
}
