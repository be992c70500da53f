package roster_test

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// TestRegisters: folding a machine's registers gives the machine.
func TestRegisters(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := roster.New(settings())
		fold(r, history(t, rapid.Bool().Draw(t, "ties"))...)
		again := roster.New(settings())
		open := map[string][]roster.Session{}
		for v := range r.Machines("") {
			registers := v.Registers()
			if registers.Newest != v.Newest() {
				t.Fatalf("newest is %v and %v", registers.Newest, v.Newest())
			}
			fold(again, asMessages(v.Name(), registers)...)
			for _, s := range registers.Sessions {
				if s.Open {
					open[v.Name()] = append(open[v.Name()], s.Session)
				}
			}
		}
		for v := range r.Machines("") {
			want := v.AppendSessions(nil)
			var got []roster.Session
			again.Machine(v.Name(), func(v roster.View) { got = v.AppendSessions(nil) })
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: %v, want %v", v.Name(), got, want)
			}
			got = open[v.Name()]
			slices.SortFunc(got, func(a, b roster.Session) int {
				return cmp.Or(strings.Compare(a.User, b.User), strings.Compare(a.ID, b.ID))
			})
			if !reflect.DeepEqual(got, want) {
				t.Fatalf("%s: open are %v, want %v", v.Name(), got, want)
			}
		}
	})
}

// asMessages returns one message for each register.
func asMessages(machine string, r roster.Registers) []roster.Message {
	var messages []roster.Message
	add := func(s roster.Stamp, e roster.Event) {
		e.Machine, e.Date = machine, s.Date
		messages = append(messages, roster.Message{Place: s.Place, Receipt: s.Date, Event: e})
	}
	reset := roster.Event{Type: roster.Present}
	for _, s := range r.Sessions {
		switch {
		case s.Stamp == r.Reset:
			reset.Sessions = append(reset.Sessions, s.Session)
		case s.Session.User == "":
			add(s.Stamp, roster.Event{Type: roster.Logout, Session: s.Session})
		default:
			add(s.Stamp, roster.Event{Type: roster.Login, Session: s.Session})
		}
	}
	for _, c := range r.Cleared {
		add(c.Stamp, roster.Event{Type: roster.Logout, Session: roster.Session{User: c.User}})
	}
	if r.Reset != (roster.Stamp{}) {
		add(r.Reset, reset)
	}
	slices.SortFunc(messages, func(a, b roster.Message) int { return cmp.Compare(a.Place, b.Place) })
	return messages
}
