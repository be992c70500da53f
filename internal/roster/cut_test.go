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
