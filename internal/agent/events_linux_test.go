package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// TestNotSpooled: what the service would refuse takes no number and no place in the spool,
// so it stands in nobody's way.
func TestNotSpooled(t *testing.T) {
	a := newTestAgent(t, t.TempDir())
	long := roster.Event{Type: roster.Present}
	for i := range 3000 {
		long.Sessions = append(long.Sessions, roster.Session{User: strings.Repeat("x", 100), ID: fmt.Sprint(i)})
	}
	for _, e := range []roster.Event{
		{Type: roster.Login, Session: roster.Session{User: "lane", ID: "1"}},
		{Type: roster.Login, Session: roster.Session{User: "la\u200bne", ID: "2"}},
		{Type: roster.Login, Session: roster.Session{User: strings.Repeat("x", 256), ID: "3"}},
		long,
		{Type: roster.Logout, Session: roster.Session{ID: "1"}},
	} {
		a.add(&e, time.Now())
		if err := a.flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	events := spooled(t, a)
	if len(events) != 2 || events[0].Number != 1 || events[1].Number != 2 || events[1].Type != roster.Logout {
		t.Errorf("spooled: %+v", events)
	}
}
