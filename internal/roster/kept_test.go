package roster_test

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"

	"rollcall/internal/roster"
)

// TestStringsAreCopied: the strings of an event may point into a buffer that the
// caller reuses.
func TestStringsAreCopied(t *testing.T) {
	buffer := []byte("web lane id   pts/0host sshd  boss  ")
	at := func(from int, text string) string { return unsafe.String(&buffer[from], len(text)) }
	f := feed{r: roster.New(settings())}
	f.send(roster.Event{Type: roster.Login, Machine: at(0, "web"), Session: roster.Session{
		User: at(4, "lane"), ID: at(9, "id"), Terminal: at(14, "pts/0"), Remote: at(19, "host"), Service: at(24, "sshd"),
	}})
	f.send(logout(at(0, "web"), at(30, "boss"), ""))
	out := logout("web", "", at(30, "boss")) // a session that nobody is on
	f.send(out)
	before, bytesBefore := seen(f.r), encode(t, f.r)
	for i := range buffer {
		buffer[i] = '#'
	}
	if after := seen(f.r); !reflect.DeepEqual(after, before) {
		t.Errorf("roster is %v, was %v", after, before)
	}
	if string(encode(t, f.r)) != string(bytesBefore) {
		t.Error("the encoding has changed with the buffer")
	}
	if stays := f.r.User("lane"); len(stays) != 1 || fmt.Sprint(stays[0]) != "{web {lane id "+stays[0].Session.Since.String()+" pts/0 host sshd}}" {
		t.Errorf("lane's stays are %v", stays)
	}
}

// TestAcceptAhead: losses up to an accepted place don't count if they are recorded
// later; those beyond it do.
func TestAcceptAhead(t *testing.T) {
	r := roster.New(settings())
	r.Accept(10)
	r.Fold(&roster.Batch{End: roster.Position{Place: 10}, Missing: roster.Truncated})
	if st := r.Status(); st.Losses != (roster.Losses{}) || st.Fates[roster.Lost] != 10 {
		t.Errorf("losses %v, fates %v", st.Losses, st.Fates)
	}
	r.Fold(&roster.Batch{End: roster.Position{Place: 11}, Missing: roster.Truncated})
	if st := r.Status(); st.Losses[roster.Truncated] != 11 {
		t.Errorf("losses %v, want one at 11", st.Losses)
	}
	r.Accept(10) // again: later losses stay
	if st := r.Status(); st.Losses[roster.Truncated] != 11 {
		t.Errorf("losses %v, want one at 11", st.Losses)
	}
}

// TestPositionNeverGoesBack: a batch read again changes nothing.
func TestPositionNeverGoesBack(t *testing.T) {
	f := feed{r: roster.New(settings())}
	for range 5 {
		f.send(login("web", "lane", ""))
	}
	before := f.r.Status()
	f.r.Fold(&roster.Batch{
		Messages: []roster.Message{{Place: 2, Receipt: start, Event: login("web", "lane", "")}},
		End:      roster.Position{Place: 2},
	})
	if after := f.r.Status(); after.Position != before.Position || after.Fates != before.Fates {
		t.Errorf("position %+v and fates %v, before %+v and %v", after.Position, after.Fates, before.Position, before.Fates)
	}
}

// TestExpiredTakesNoSpace: expired registers don't count towards the ceilings,
// neither on their own machine nor on another.
func TestExpiredTakesNoSpace(t *testing.T) {
	for name, c := range map[string]struct {
		limit   func(*roster.Settings)
		machine string // where the next users log in
	}{
		"of a machine": {func(s *roster.Settings) { s.MaxSessionsPerMachine = 2 }, "a"},
		"of all":       {func(s *roster.Settings) { s.MaxSessions = 2 }, "b"},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings()
			c.limit(&s)
			f := feed{r: roster.New(s)}
			// After a boot there are so few registers that none expires, until a
			// ceiling is reached.
			wantLimit(t, f.send(dated(start, roster.Event{Type: roster.Boot, Machine: "a"})), false)
			wantLimit(t, f.send(dated(start+1, login("a", "u1", "1"))), false)
			wantLimit(t, f.send(dated(start+2, logout("a", "u1", "1"))), false)
			wantLimit(t, f.send(dated(start+11*hour, login("a", "u2", "2"))), false)
			if _, there := f.r.RegisterCounts(); there != 2 {
				t.Fatalf("%d registers remembered, want that of u1 too", there)
			}
			wantLimit(t, f.send(dated(start+11*hour+1, login(c.machine, "u3", "3"))), false)
			wantLimit(t, f.send(dated(start+11*hour+2, login(c.machine, "u4", "4"))), true)
		})
	}
}

// TestEarlierClearing: a late logout of all sessions does not replace a newer one.
func TestEarlierClearing(t *testing.T) {
	f := feed{r: roster.New(settings())}
	f.send(dated(start+3*hour, logout("web", "alice", "")))
	f.send(dated(start+hour, logout("web", "alice", "")))
	f.send(dated(start+2*hour, login("web", "alice", "")))
	if stays := f.r.User("alice"); len(stays) > 0 {
		t.Errorf("alice is on: %v", stays)
	}
}

// TestLoginBeforeBoot: a late login dated before the machine's boot raises nothing,
// as if it had come before the boot.
func TestLoginBeforeBoot(t *testing.T) {
	f := feed{r: roster.New(settings())}
	f.send(dated(start+2*hour, boot("web")))
	f.send(dated(start+hour, login("web", "alice", "")))
	if _, registers := f.r.RegisterCounts(); registers != 0 || len(f.r.User("alice")) > 0 {
		t.Errorf("%d registers; alice is on: %v", registers, f.r.User("alice"))
	}
}

// TestRecentlyClosed: when expired registers are dropped, recently closed ones stay,
// and a late login does not undo them.
func TestRecentlyClosed(t *testing.T) {
	for name, id := range map[string]string{"session": "2", "clearing": ""} {
		t.Run(name, func(t *testing.T) {
			f := feed{r: roster.New(settings())}
			f.send(dated(start, logout("web", "bob", "1")))
			f.send(dated(start+5*hour, logout("web", "alice", id)))
			f.send(dated(start+11*hour, login("web", "carol", "3")))
			if _, there := f.r.RegisterCounts(); there != 2 {
				t.Errorf("%d registers remembered, want those of alice and carol", there)
			}
			f.send(dated(start+4*hour, login("web", "alice", id)))
			if stays := f.r.User("alice"); len(stays) > 0 {
				t.Errorf("alice is on: %v", stays)
			}
		})
	}
}
