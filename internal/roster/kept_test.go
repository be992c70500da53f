package roster_test

import (
	"fmt"
	"reflect"
	"testing"
	"unsafe"

	"rollcall/internal/roster"
)

// TestStringsAreCopied: the strings of an event may point into a buffer that
// its reader uses again.
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

// TestSettledOnce: of what concerns a machine only the first boot, shutdown or
// present after a loss counts, and none before it.
func TestSettledOnce(t *testing.T) {
	f := feed{r: roster.New(settings())}
	unsettled := func(want int) {
		t.Helper()
		if st := f.r.Status(); st.Unsettled != want || (st.Losses == roster.Losses{}) != (want == 0) {
			t.Errorf("%d machines unsettled, losses %v; want %d", st.Unsettled, st.Losses, want)
		}
		if again := restore(t, f.r).Status(); again != f.r.Status() {
			t.Errorf("restored status %+v, want %+v", again, f.r.Status())
		}
	}
	boot := func(machine string) roster.Event { return roster.Event{Type: roster.Boot, Machine: machine} }
	f.send(boot("web"))
	f.send(boot("db"))
	f.place += 5
	f.send(login("web", "lane", ""))
	unsettled(2)
	f.send(boot("web"))
	unsettled(1)
	f.send(boot("web"))
	unsettled(1)
	old := boot("db")
	old.Date = start // below the one before: raises nothing
	f.send(old)
	unsettled(1)
	f.send(boot("db"))
	unsettled(0)
}

// TestAcceptAhead: the losses up to an accepted place don't count when they are
// noted later, and those beyond it do.
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
	r.Accept(10) // again: what is beyond stays
	if st := r.Status(); st.Losses[roster.Truncated] != 11 {
		t.Errorf("losses %v, want one at 11", st.Losses)
	}
}

// TestPositionStays: a batch that was read before moves nothing back.
func TestPositionStays(t *testing.T) {
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

// TestRoomOfWhatIsOver: what ended so long ago that it may be forgotten takes
// no room, on its own machine or on another.
func TestRoomOfWhatIsOver(t *testing.T) {
	for name, limit := range map[string]func(*roster.Settings){
		"of a machine": func(s *roster.Settings) { s.MaxSessionsPerMachine = 2 },
		"of all":       func(s *roster.Settings) { s.MaxSessions = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s := settings()
			limit(&s)
			f := feed{r: roster.New(s)}
			at := func(e roster.Event, date roster.Time) roster.Event {
				e.Date = date
				return e
			}
			wantLimit(t, f.send(at(login("a", "u1", "1"), start)), false)
			wantLimit(t, f.send(at(logout("a", "u1", "1"), start+1)), false)
			wantLimit(t, f.send(at(login("a", "u2", "2"), start+11*hour)), false)
			wantLimit(t, f.send(at(login("a", "u3", "3"), start+11*hour+1)), false)
			wantLimit(t, f.send(at(login("a", "u4", "4"), start+11*hour+2)), true)
		})
	}
}
