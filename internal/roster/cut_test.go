package roster_test

import (
	"bytes"
	"fmt"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/roster"
)

// TestCutKeepsNames: users who leave or arrive after a cut began do not change it.
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
		t.Fatalf("%d names", n)
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

// TestCutWhileFolding: a slow reader of a cut sees nothing of what is folded
// meanwhile: neither in what it reads, nor in what is copied ahead, nor in what
// comes after.
func TestCutWhileFolding(t *testing.T) {
	const machines = 5000
	f := feed{r: roster.New(settings())}
	name := func(i int) string { return fmt.Sprintf("machine%04d", i) }
	for i := range machines {
		f.send(login(name(i), "before", "s"))
		f.send(logout(name(i), "left", ""))
	}
	change := func(i int) {
		f.send(logout(name(i), "before", "s"))
		f.send(login(name(i), "left", ""))
	}
	cut := f.r.Cut()
	defer cut.Close()
	viewed := 0
	f.send(login("machine0000b", "later", ""))
	for v := range cut.All() {
		switch {
		case viewed == 0:
			for i := range machines {
				change(i)
			}
		case viewed%500 == 0:
			for i := range 10 {
				change(viewed + i)
			}
		}
		got, cleared, want := v.AppendSessions(nil), v.Cleared(), name(viewed)
		if v.Name() != want || len(got) != 1 || got[0].User != "before" || len(cleared) != 1 || cleared[0] != "left" {
			t.Fatalf("%s: %+v and %s, want %s as it was", v.Name(), got, cleared, want)
		}
		viewed++
	}
	if viewed != machines {
		t.Errorf("%d machines, want %d", viewed, machines)
	}
}

// TestCutStoppedEarly: a reader that stops early leaves no goroutine running.
func TestCutStoppedEarly(t *testing.T) {
	f := feed{r: roster.New(settings())}
	for i := range 10_000 {
		f.send(login(fmt.Sprintf("machine%04d", i), "user", ""))
	}
	for _, enough := range []int{1, 1500, 10_000} {
		cut := f.r.Cut()
		viewed := 0
		for range cut.All() {
			if viewed++; viewed == enough {
				break
			}
		}
		cut.Close()
		if viewed != enough {
			t.Errorf("%d machines, want %d", viewed, enough)
		}
		goleak.VerifyNone(t)
	}
}
