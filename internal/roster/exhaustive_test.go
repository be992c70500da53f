package roster_test

import (
	"reflect"
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// alphabet has one of each kind of event that can decide about another.
var alphabet = []roster.Event{
	{Type: roster.Login, Session: roster.Session{User: "alice"}},
	{Type: roster.Login, Session: roster.Session{User: "alice", ID: "1"}},
	{Type: roster.Login, Session: roster.Session{User: "bob", ID: "1"}},
	{Type: roster.Logout, Session: roster.Session{User: "alice"}},
	{Type: roster.Logout, Session: roster.Session{ID: "1"}},
	{Type: roster.Boot},
	{Type: roster.Present, Sessions: []roster.Session{{User: "bob", ID: "1"}, {User: "alice"}}},
}

// TestAllOrders: every sequence of up to five events of the alphabet, read in every
// order of their dates, gives the oracle's roster; up to four, with all ties. With
// the race detector, which finds nothing here, and in short tests, longer sequences
// use fewer kinds of events.
func TestAllOrders(t *testing.T) {
	kinds := map[int]int{1: 7, 2: 7, 3: 7, 4: kit.Length(4, kindsOfFour), 5: kit.Length(2, kindsOfFive)}
	for n, kinds := range kinds {
		orders := datings(n)
		sequence := make([]int, n)
		for {
			for _, dates := range orders {
				readOne(t, sequence, dates)
			}
			if !next(sequence, kinds) {
				break
			}
		}
	}
}

func readOne(t *testing.T, sequence, dates []int) {
	t.Helper()
	r, o := roster.New(settings()), newOracle(10*time.Minute, lateness)
	for i, kind := range sequence {
		e := alphabet[kind]
		e.Machine = "web"
		e.Date = start + roster.Time(dates[i])*hour
		m := roster.Message{Place: uint64(i + 1), Receipt: start + 10*hour, Event: e}
		o.read(m)
		fold(r, m)
	}
	if got, want := seen(r), o.fold(); !reflect.DeepEqual(got, want) || !reflect.DeepEqual(changedOf(r), o.changed()) {
		t.Fatalf("kinds %v dated %v: roster is %v, want %v", sequence, dates, got, want)
	}
}

// next increments a sequence, as a number in base kinds.
func next(sequence []int, kinds int) bool {
	for i := range sequence {
		if sequence[i]++; sequence[i] < kinds {
			return true
		}
		sequence[i] = 0
	}
	return false
}

// datings returns all ways to date n events with n dates: every order of distinct
// dates and every tie. For five events, only distinct dates.
func datings(n int) [][]int {
	var all [][]int
	dates := make([]int, n)
	for {
		if n < 5 || distinct(dates) {
			all = append(all, append([]int(nil), dates...))
		}
		if !next(dates, n) {
			return all
		}
	}
}

func distinct(dates []int) bool {
	seen := map[int]bool{}
	for _, d := range dates {
		seen[d] = true
	}
	return len(seen) == len(dates)
}
