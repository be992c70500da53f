package client

import (
	"errors"
	"slices"
	"testing"
)

// Users on a machine that the service no longer knows have left.
func TestMirrorMachineGone(t *testing.T) {
	var got []Difference
	w := &Mirror{place: 9, state: map[string]known{"web1": {users: []string{"lane"}, place: 3}, "web2": {place: 4}}}
	w.Changed = func(d *Difference) error { got = append(got, *d); return nil }
	if err := w.replace(map[string]known{}, false); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || got[0].Machine != "web1" || got[0].Place != 9 || !slices.Equal(got[0].Left, []string{"lane"}) || len(got[0].Users) != 0 {
		t.Errorf("%+v", got)
	}
}

// TestMirrorRefusedOnce: each reason is reported once, until the problem is over.
func TestMirrorRefusedOnce(t *testing.T) {
	var told []string
	w := &Mirror{Watch: Watch{Tell: func(text string) { told = append(told, text) }}}
	for range 2 {
		w.reportProblem("lost")
		w.reportRefused(errors.New("expired"))
		w.reportRefused(errors.New("expired"))
		w.reportRefused(errors.New("revoked"))
		w.reportRecovered()
		w.reportRecovered()
	}
	once := []string{"lost", "expired; trying again", "revoked; trying again", "the service is heard again"}
	if want := slices.Concat(once, once); !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
