package web_test

import (
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// TestLettersGone: refused events that were purged, or whose stream was made anew, are not
// shown any more, and what comes after them is.
func TestLettersGone(t *testing.T) {
	w := newWorld(t, kit.StartServer(t))
	w.fill()
	w.letter("old1", "late", "too late", at("19:30"))
	w.letter("old2", "late", "too late", at("19:31"))
	w.letter("old2", "late", "too late", at("19:32"))
	s := w.open()
	counts := func() string {
		var all []string
		for _, cells := range s.open("/service").tableRows("letters") {
			all = append(all, cells[0]+" "+cells[2])
		}
		return strings.Join(all, ", ")
	}
	want := func(what, want string) {
		t.Helper()
		if got := counts(); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	want("at first", "old2 2, old1 1")
	js := kit.JetStream(t, kit.Conn(t, w.server.URL))
	stream, err := js.Stream(t.Context(), w.deadLetters())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	want("purged", "")
	w.letter("new1", "late", "too late", at("19:33"))
	want("one more", "new1 1")
	if err := stream.Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.letter("new2", "late", "too late", at("19:34"))
	want("purged, and one more", "new2 1")
	if err := js.DeleteStream(t.Context(), w.deadLetters()); err != nil {
		t.Fatal(err)
	}
	w.letter("again", "late", "too late", at("19:35"))
	want("made anew", "again 1")
	w.letter("again", "late", "too late", at("19:36"))
	want("one more of that", "again 2")
}
