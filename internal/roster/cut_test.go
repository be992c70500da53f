package roster_test

import (
	"bytes"
	"fmt"
	"testing"

	"rollcall/internal/roster"
)

// TestCutKeepsNames: who is forgotten after a cut began, and whoever comes
// then, does not show in it.
func TestCutKeepsNames(t *testing.T) {
	f := feed{r: roster.New(settings())}
	for i := range 100 {
		f.send(login(fmt.Sprintf("machine%02d", i%10), fmt.Sprintf("user%d", i), ""))
		f.send(logout(fmt.Sprintf("machine%02d", i%10), fmt.Sprintf("user%d", i-7), ""))
	}
	want := encode(t, f.r)
	e := f.r.Encode()
	defer e.Close()
	for i := range 10 {
		f.send(roster.Event{Type: roster.Shutdown, Machine: fmt.Sprintf("machine%02d", i)})
	}
	if n := f.r.Names(); n != 0 {
		t.Fatalf("%d names remembered", n)
	}
	for i := range 100 {
		f.send(login(fmt.Sprintf("machine%02d", i%10), fmt.Sprintf("other%d", i), ""))
	}
	var got bytes.Buffer
	if _, err := e.WriteTo(&got); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the cut is not what the roster was when it began")
	}
}

// TestCutWhileFolding: whoever reads a cut may hold up its views, and what is
// folded meanwhile shows in none of them, nor in who is viewed.
func TestCutWhileFolding(t *testing.T) {
	f := feed{r: roster.New(settings())}
	for i := range 200 {
		f.send(login(fmt.Sprintf("machine%03d", i), "before", "s"))
		f.send(logout(fmt.Sprintf("machine%03d", i), "left", ""))
	}
	cut := f.r.Cut()
	defer cut.Close()
	viewed := 0
	f.send(login("machine000b", "later", ""))
	for v := range cut.All() {
		for i := range 200 {
			f.send(logout(fmt.Sprintf("machine%03d", i), "before", "s"))
			f.send(login(fmt.Sprintf("machine%03d", i), "left", ""))
		}
		if got, want := v.Registers(), fmt.Sprintf("machine%03d", viewed); v.Name() != want ||
			len(got.Sessions) != 1 || got.Sessions[0].Session.User != "before" || !got.Sessions[0].Open ||
			len(got.Cleared) != 1 || got.Cleared[0].User != "left" {
			t.Fatalf("%s: %+v, want %s as it was", v.Name(), got, want)
		}
		viewed++
	}
	if viewed != 200 {
		t.Errorf("%d machines, want 200", viewed)
	}
}
