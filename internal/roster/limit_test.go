package roster_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"rollcall/internal/roster"
)

// feed folds events, each dated after the one before, and returns the refusals.
type feed struct {
	r     *roster.Roster
	place uint64
}

func (f *feed) send(e roster.Event) *roster.Refusal {
	f.place++
	if e.Date == 0 {
		e.Date = start + roster.Time(f.place)*roster.Time(time.Second)
	}
	return fold(f.r, roster.Message{Place: f.place, Receipt: e.Date, Event: e})[0].Refusal
}

func login(machine, user, id string) roster.Event {
	return roster.Event{Type: roster.Login, Machine: machine, Session: roster.Session{User: user, ID: id}}
}

func logout(machine, user, id string) roster.Event {
	return roster.Event{Type: roster.Logout, Machine: machine, Session: roster.Session{User: user, ID: id}}
}

func dated(date roster.Time, e roster.Event) roster.Event {
	e.Date = date
	return e
}

func wantLimit(t *testing.T, got *roster.Refusal, refused bool) {
	t.Helper()
	if refused != (got != nil) || refused && got.Reason != roster.Limit {
		t.Errorf("refusal is %v, want one for limit: %v", got, refused)
	}
}

func TestLimits(t *testing.T) {
	s := settings()
	s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine = 3, 5, 3
	f := feed{r: roster.New(s)}
	present := func(machine string, users ...string) roster.Event {
		e := roster.Event{Type: roster.Present, Machine: machine}
		for _, user := range users {
			e.Sessions = append(e.Sessions, roster.Session{User: user})
		}
		return e
	}
	wantLimit(t, f.send(login("a", "u1", "1")), false)
	wantLimit(t, f.send(login("a", "u2", "2")), false)
	wantLimit(t, f.send(login("a", "u3", "")), false)
	if st := f.r.Status(); st.Limited != 0 {
		t.Errorf("%d machines limited before any", st.Limited)
	}
	wantLimit(t, f.send(login("a", "u4", "4")), true)
	wantLimit(t, f.send(logout("a", "u4", "")), false) // an ending, of what nobody saw begin
	wantLimit(t, f.send(login("a", "u9", "1")), false) // in the place of u1
	wantLimit(t, f.send(login("a", "u2", "2")), false) // who is on already
	if st := f.r.Status(); st.Limited != 1 || st.Losses != (roster.Losses{}) {
		t.Errorf("%d machines limited, losses %v; want the machine, and no loss", st.Limited, st.Losses)
	}
	wantLimit(t, f.send(boot("b")), false)
	wantLimit(t, f.send(present("b", "x", "y", "z")), true) // six of all
	wantLimit(t, f.send(present("b", "x", "y")), false)
	wantLimit(t, f.send(login("c", "u1", "")), true) // the sixth of all
	if st := f.r.Status(); st.Losses[roster.LossLimit] == 0 {
		t.Error("a refused event of a machine that is not in the roster is not a loss")
	}
	wantLimit(t, f.send(boot("c")), false)
	wantLimit(t, f.send(boot("d")), true) // a fourth machine
	wantLimit(t, f.send(present("a", "u1", "u2", "u3", "u4")), true)
	wantLimit(t, f.send(present("a", "u1", "u2", "u3")), false)
	if st := f.r.Status(); st.Limited != 0 {
		t.Errorf("%d machines limited after a present", st.Limited)
	}
	// Machines with nobody on don't count once they are hidden.
	wantLimit(t, f.send(dated(start+11*hour, login("a", "u1", ""))), false)
	wantLimit(t, f.send(dated(start+11*hour, boot("d"))), false)
}

// TestBusyMachineIsNeverFull: expired registers don't count, however many: a check
// logs in and out again and again.
func TestBusyMachineIsNeverFull(t *testing.T) {
	s := settings()
	s.MaxSessionsPerMachine = 3
	f := feed{r: roster.New(s)}
	for i := range 1000 {
		at := start + roster.Time(i)*roster.Time(time.Minute)
		id := fmt.Sprint(i)
		wantLimit(t, f.send(dated(at, login("git", "check", id))), false)
		wantLimit(t, f.send(dated(at+1, logout("git", "", id))), false)
	}
	late := dated(start+990*roster.Time(time.Minute)-1, login("git", "lane", "0"))
	if got := f.send(late); got == nil || got.Reason != roster.Late || !strings.Contains(got.Remedy, "ROLLCALL_MAX_SESSIONS_PER_MACHINE") {
		t.Errorf("a login below the floor is refused with %v, want late", got)
	}
	wantLimit(t, f.send(dated(start+500*roster.Time(time.Minute), logout("git", "lane", ""))), false)
}

// TestBounded: a machine with many short sessions over a long time keeps the
// recently closed registers, and at most twice as many in all.
func TestBounded(t *testing.T) {
	f := feed{r: roster.New(settings())}
	for i := range 100_000 {
		user, id := fmt.Sprintf("user%d", i), fmt.Sprintf("%x", i)
		in, out := login("web", user, id), logout("web", user, id)
		in.Date = start + roster.Time(i)*roster.Time(time.Minute)
		out.Date = in.Date + roster.Time(time.Second)
		f.send(in)
		f.send(out)
	}
	const lately = 10 * 60 // sessions in the allowed lateness
	if _, there := f.r.RegisterCounts(); there > 2*lately+2 {
		t.Errorf("%d registers remembered, want at most %d", there, 2*lately+2)
	}
	if n := f.r.Names(); n > 2*lately+2 {
		t.Errorf("%d names remembered", n)
	}
	f.r.ExpireAll()
	if _, there := f.r.RegisterCounts(); there > lately+1 {
		t.Errorf("%d registers after expiry, want %d", there, lately)
	}
}

// TestLateStaysLate: a roster that continues with a greater allowed lateness does
// not accept events whose registers the smaller one has dropped.
func TestLateStaysLate(t *testing.T) {
	f := feed{r: roster.New(settings())}
	out := logout("web", "", "1")
	out.Date = start
	f.send(out)
	boot := login("web", "bob", "2")
	boot.Date = start + 11*hour
	f.send(boot)
	now := settings()
	now.AllowedLateness = 1000 * time.Hour
	r, err := roster.Restore(encodeReader(t, f.r), encodedBy(f.r), now)
	if err != nil {
		t.Fatal(err)
	}
	f.r = r
	ghost := login("web", "alice", "1")
	ghost.Date = start - 1
	if got := f.send(ghost); got == nil || got.Reason != roster.Late {
		t.Errorf("refusal is %v, want late", got)
	}
	if len(r.User("alice")) > 0 {
		t.Error("alice is on again")
	}
}
