package roster_test

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// feed folds events of one date after another and returns the refusals.
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
	wantLimit(t, f.send(login("a", "u1", "1")), false)
	wantLimit(t, f.send(login("a", "u2", "2")), false)
	wantLimit(t, f.send(login("a", "u3", "")), false)
	if st := f.r.Status(); st.Losses != (roster.Losses{}) {
		t.Errorf("losses %v before any", st.Losses)
	}
	wantLimit(t, f.send(login("a", "u4", "4")), true)
	wantLimit(t, f.send(logout("a", "u4", "")), true)
	wantLimit(t, f.send(logout("a", "u1", "1")), false) // a register there is
	wantLimit(t, f.send(login("a", "u9", "1")), false)
	wantLimit(t, f.send(roster.Event{Type: roster.Boot, Machine: "b"}), false)
	wantLimit(t, f.send(roster.Event{Type: roster.Present, Machine: "b", Sessions: []roster.Session{{User: "x"}, {User: "y"}, {User: "z"}}}), true)
	wantLimit(t, f.send(roster.Event{Type: roster.Present, Machine: "b", Sessions: []roster.Session{{User: "x"}, {User: "y"}}}), false)
	wantLimit(t, f.send(login("c", "u1", "")), true) // the sixth of all
	wantLimit(t, f.send(roster.Event{Type: roster.Boot, Machine: "c"}), false)
	wantLimit(t, f.send(roster.Event{Type: roster.Boot, Machine: "d"}), true)
	if st := f.r.Status(); st.Losses[roster.LossLimit] == 0 {
		t.Error("a refusal for limit is no loss")
	}
	// What ended long enough ago does not count.
	wantLimit(t, f.send(logout("a", "u9", "1")), false)
	later := login("a", "u5", "5")
	later.Date = start + 11*hour
	wantLimit(t, f.send(roster.Event{Type: roster.Boot, Machine: "b", Date: start + 11*hour}), false)
	wantLimit(t, f.send(logout("a", "u3", "")), true)
	wantLimit(t, f.send(roster.Event{Type: roster.Shutdown, Machine: "a", Date: start + 11*hour - 1}), false)
	wantLimit(t, f.send(later), false)
}

// TestLimitsForgetExactly: with limits that bind, a roster that forgets as
// early as it can and one that forgets as late as it may refuse the same.
func TestLimitsForgetExactly(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := settings()
		s.MaxMachines, s.MaxSessions, s.MaxSessionsPerMachine = 2, 8, 5
		eager, lazy := roster.New(s), roster.New(s)
		for _, m := range history(t, rapid.Bool().Draw(t, "ties")) {
			eager.TidyAll()
			a, b := fold(eager, m)[0], fold(lazy, m)[0]
			if a.Fate != b.Fate || fmt.Sprint(a.Refusal) != fmt.Sprint(b.Refusal) {
				t.Fatalf("message %d: %v %v, and %v %v", m.Place, a.Fate, a.Refusal, b.Fate, b.Refusal)
			}
			if rapid.IntRange(0, 9).Draw(t, "restore") == 0 {
				eager = restore(t, eager)
			}
		}
	})
}

// TestBounded: one machine with many short sessions over a long time keeps
// what ended lately, and no more than twice that.
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
	if _, there := f.r.Remembered(); there > 2*lately+2 {
		t.Errorf("%d registers remembered, want at most %d", there, 2*lately+2)
	}
	if n := f.r.Names(); n > 2*lately+2 {
		t.Errorf("%d names remembered", n)
	}
	f.r.TidyAll()
	if _, there := f.r.Remembered(); there > lately+1 {
		t.Errorf("%d registers remembered once tidied, want %d", there, lately)
	}
}

// TestLateStaysLate: a roster that goes on with a greater allowed lateness
// does not judge what the smaller one has forgotten.
func TestLateStaysLate(t *testing.T) {
	f := feed{r: roster.New(settings())}
	out := logout("web", "", "1")
	out.Date = start
	f.send(out)
	boot := login("web", "bob", "2")
	boot.Date = start + 11*hour
	f.send(boot)
	was, now := settings(), settings()
	now.AllowedLateness = 1000 * time.Hour
	r, err := roster.Restore(encodeReader(t, f.r), now, was, f.r.Status().Position)
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
