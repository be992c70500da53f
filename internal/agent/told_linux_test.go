package agent

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// tellOf tells an agent of an event, as a local program does.
func tellOf(t *testing.T, a *Agent, e *roster.Event) {
	t.Helper()
	answer := make(chan error, 1)
	if err := a.tell(t.Context(), tell{*e, answer}); err != nil {
		t.Fatal(err)
	}
	if err := <-answer; err != nil {
		t.Fatal(err)
	}
}

// TestToldLate: who was told of late is on at once, and is not told of as earlier than what
// was told before; what is dated in the future is refused.
func TestToldLate(t *testing.T) {
	a := newTestAgent(t, t.TempDir())
	if err := a.present(t.Context()); err != nil {
		t.Fatal(err)
	}
	hourAgo := roster.TimeOf(time.Now().Add(-time.Hour))
	login := roster.Event{Type: roster.Login, Date: hourAgo, Session: roster.Session{User: "carol", ID: "ftp-1"}}
	tellOf(t, a, &login)
	events := spooled(t, a)
	if len(events) != 2 || events[1].Date <= events[0].Date || a.told.list()[0].Since != hourAgo {
		t.Errorf("spooled %+v, told of %+v", events, a.told.list())
	}
	login.Date = roster.TimeOf(time.Now().Add(time.Hour))
	if err := a.checkTold(&login); err == nil || !strings.Contains(err.Error(), "date: in the future") {
		t.Errorf("a date in the future: %v", err)
	}
}

// TestToldOfLogind: a program can neither take the place of a session of logind's, nor end
// it.
func TestToldOfLogind(t *testing.T) {
	a := newTestAgent(t, t.TempDir())
	a.sessions.held["7"] = held{"lane", 70, true}
	for _, kind := range []roster.Type{roster.Login, roster.Logout} {
		e := roster.Event{Type: kind, Date: roster.TimeOf(time.Now()), Session: roster.Session{User: "carol", ID: "7"}}
		if err := a.checkTold(&e); err == nil || !strings.Contains(err.Error(), `logind has one of the id "7"`) {
			t.Errorf("%v of a session of logind's: %v", kind, err)
		}
	}
}

// TestToldNotWritten: what could not be written was not told.
func TestToldNotWritten(t *testing.T) {
	a := newTestAgent(t, t.TempDir())
	a.told.path = filepath.Join(a.Dir, "gone", "told.json")
	if err := a.told.apply(&roster.Event{Type: roster.Login, Session: roster.Session{User: "carol", ID: "ftp-1"}}); err == nil || len(a.told.list()) != 0 {
		t.Errorf("%v, told of %+v", err, a.told.list())
	}
}

// TestSoftReboot: a shutdown ends the sessions that programs told of, even if the boot id stays
// the same afterwards, as it does after "systemctl soft-reboot".
func TestSoftReboot(t *testing.T) {
	dir := t.TempDir()
	a := newTestAgent(t, dir)
	tellOf(t, a, &roster.Event{Type: roster.Login, Session: roster.Session{User: "carol", ID: "ftp-1"}})
	if err := a.shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	next, err := loadTold(dir)
	if err != nil || len(next.list()) != 0 {
		t.Errorf("the next life lists %+v, %v", next.list(), err)
	}
}
