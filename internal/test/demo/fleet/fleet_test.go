package fleet

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

var now = time.Date(2026, 11, 28, 14, 3, 7, 0, time.UTC)

func small(strange bool) *Fleet {
	return New(Options{Seed: 7, Machines: 1200, Hours: 26, Now: now, Strange: strange})
}

// TestSameSeed: only the moment that dates are relative to makes a difference.
func TestSameSeed(t *testing.T) {
	const later = 77 * time.Hour
	f := New(Options{Seed: 7, Machines: 50, Hours: 26, Now: now})
	g := New(Options{Seed: 7, Machines: 50, Hours: 26, Now: now.Add(later)})
	var want []roster.Message
	for m := range f.Events() {
		want = append(want, m)
	}
	i := 0
	for m := range g.Events() {
		m.Receipt = m.Receipt.Add(-later)
		if m.Event.Date != roster.MaxDate+1 {
			m.Event.Date = m.Event.Date.Add(-later)
		}
		for j := range m.Event.Sessions {
			m.Event.Sessions[j].Since = m.Event.Sessions[j].Since.Add(-later)
		}
		if !reflect.DeepEqual(m, want[i]) {
			t.Fatalf("event %d is\n%+v, want\n%+v", i, m, want[i])
		}
		i++
	}
	if i != len(want) || i < 200 {
		t.Errorf("%d events, want %d", i, len(want))
	}
}

// TestEvents: the service accepts all events but those that are meant to be refused.
func TestEvents(t *testing.T) {
	f := small(true)
	subjects, err := rollcallv1.NewSubjects("rollcall")
	if err != nil {
		t.Fatal(err)
	}
	d := wire.NewDecoder(subjects)
	r := roster.New(roster.DefaultSettings())
	refused := map[string]int{}
	var last roster.Time
	for m := range f.Events() {
		if m.Receipt <= last || m.Receipt > roster.TimeOf(now.Add(time.Second)) {
			t.Fatalf("received at %v, after one at %v", m.Receipt, last)
		}
		last = m.Receipt
		m.Refusal = d.Decode(subjects.EventsOf(m.Event.Machine), "", wire.AppendJSON(nil, &m.Event), &m.Event)
		r.Fold(&roster.Batch{Messages: []roster.Message{m}, End: roster.Position{Place: m.Place}})
		if m.Refusal != nil {
			refused[string(m.Refusal.Reason)]++
		}
	}
	st := r.Status()
	if want := map[string]int{"bad_name": 1, "missing_field": 1, "bad_date": 1}; !reflect.DeepEqual(refused, want) {
		t.Errorf("refused when decoded: %v, want %v", refused, want)
	}
	if st.Fates[roster.DeadLettered] != 5 { // and one each as future and late
		t.Errorf("fates: %v, want 5 dead letters", st.Fates)
	}
	if st.Machines != f.Len() || st.Several == 0 || st.Missing == 0 {
		t.Errorf("%d machines, %d users on several, %d events missing; want %d, some, some", st.Machines, st.Several, st.Missing, f.Len())
	}
}

// TestDay: few are on at night, many in the morning, fewer at noon.
func TestDay(t *testing.T) {
	f := New(Options{Seed: 7, Machines: 1200, Hours: 34, Now: now})
	on := func(hours float64) (sessions int) {
		until := roster.TimeOf(now.Add(at(0, hours)))
		r := roster.New(roster.DefaultSettings())
		for m := range f.Events() {
			if m.Receipt > until {
				break
			}
			r.Fold(&roster.Batch{Messages: []roster.Message{m}, End: roster.Position{Place: m.Place}})
		}
		return r.Status().Sessions
	}
	night, morning, noon, now := on(3), on(10.5), on(12.4), on(15.1)
	if night > morning/4 || noon > morning*9/10 || now < noon*11/10 {
		t.Errorf("%d sessions at night, %d in the morning, %d at noon, %d at the end", night, morning, noon, now)
	}
}

// TestHeard: a machine is silent for 42 minutes or more, or was heard in the last Period.
func TestHeard(t *testing.T) {
	f := small(true)
	heard := map[string]roster.Time{}
	for m := range f.Events() {
		if m.Event.Date <= m.Receipt { // not refused as future
			heard[m.Event.Machine] = max(heard[m.Event.Machine], m.Receipt)
		}
	}
	silent := 0
	for machine := range f.Len() {
		ago := now.Sub(heard[f.Name(machine)].Time())
		since, is := f.Silent(machine)
		if is {
			silent++
		}
		if is && (ago < 42*time.Minute-time.Second || ago > since) || !is && ago > f.Period() {
			t.Errorf("%s was heard %v ago; silent: %t, for %v", f.Name(machine), ago, is, since)
		}
	}
	if silent < f.Len()/100 || silent > f.Len()/10 {
		t.Errorf("%d of %d machines are silent", silent, f.Len())
	}
}

// TestNames: no two machines and no two persons have the same name, and machines take
// different turns.
func TestNames(t *testing.T) {
	f := small(true)
	names, turns, users := map[string]bool{}, map[int]bool{}, map[string]bool{}
	for machine := range f.Len() {
		names[f.Name(machine)], turns[f.Turn(machine)] = true, true
	}
	for who := range 5000 {
		users[user(who)] = true
	}
	if len(names) != f.Len() || len(turns) != f.Len() || len(users) != 5000 {
		t.Errorf("%d names and %d turns of %d machines, %d names of 5000 persons", len(names), len(turns), f.Len(), len(users))
	}
}

// TestArrival: whoever may come is described completely.
func TestArrival(t *testing.T) {
	f, r := small(true), rand.New(rand.NewPCG(1, 1))
	for machine := range f.Len() {
		if s := f.Arrival(r, machine, 500); s.User == "" || s.Service == "" || s.ID == "" && kindOf(machine) != cache {
			t.Errorf("on %s: %+v", f.Name(machine), s)
		}
	}
	for _, machines := range []int{1, 2, 3, 11} {
		f := New(Options{Machines: machines, Hours: 2, Now: now})
		for machine := range machines {
			f.Arrival(r, machine, 1)
		}
		for range f.Events() {
		}
	}
}
