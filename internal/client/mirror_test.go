package client

import (
	"errors"
	"slices"
	"testing"
)

// Users on a machine that the service no longer knows have left.
func TestMirrorMachineGone(t *testing.T) {
	var got []Difference
	m := &Mirror{place: 9, state: map[string]known{"web1": {users: []string{"lane"}, place: 3}, "web2": {place: 4}}}
	m.Changed = func(d *Difference) error { got = append(got, *d); return nil }
	if err := m.replace(map[string]known{}, false); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Machine != "web1" || got[0].Place != 9 || !slices.Equal(got[0].Left, []string{"lane"}) || len(got[0].Users) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestMirrorRefusedOnce: each reason is reported once, until the problem is over.
func TestMirrorRefusedOnce(t *testing.T) {
	var messages []string
	m := &Mirror{Watch: Watch{Notify: func(text string, _ bool) { messages = append(messages, text) }}}
	for range 2 {
		m.reportProblem("lost")
		m.reportRefused(errors.New("expired"))
		m.reportRefused(errors.New("expired"))
		m.reportRefused(errors.New("revoked"))
		m.reportRecovered()
		m.reportRecovered()
	}
	once := []string{"lost", "expired; retrying", "revoked; retrying", "receiving from the service again"}
	if want := slices.Concat(once, once); !slices.Equal(messages, want) {
		t.Errorf("messages %q, want %q", messages, want)
	}
}
