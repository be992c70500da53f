package roster_test

import (
	"bytes"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"rollcall/internal/roster"
)

func encodeReader(t *testing.T, r *roster.Roster) io.Reader {
	return bytes.NewReader(encode(t, r))
}

// TestSeed runs the script that rollcall grew from, with its own six events.
func TestSeed(t *testing.T) {
	date := func(s string) roster.Time {
		d, err := time.Parse(time.DateTime, s)
		if err != nil {
			t.Fatal(err)
		}
		return roster.TimeOf(d)
	}
	f := feed{r: roster.New(roster.DefaultSettings())}
	for _, e := range []roster.Event{
		{Date: date("2020-01-21 12:45:56"), Type: roster.Login, Machine: "myworkstation.local", Session: roster.Session{User: "jordan"}},
		{Date: date("2020-01-22 15:53:42"), Type: roster.Logout, Machine: "webserver.local", Session: roster.Session{User: "jordan"}},
		{Date: date("2020-01-21 18:53:21"), Type: roster.Login, Machine: "webserver.local", Session: roster.Session{User: "lane"}},
		{Date: date("2020-01-22 10:25:34"), Type: roster.Logout, Machine: "myworkstation.local", Session: roster.Session{User: "jordan"}},
		{Date: date("2020-01-21 08:20:01"), Type: roster.Login, Machine: "webserver.local", Session: roster.Session{User: "jordan"}},
		{Date: date("2020-01-23 11:24:35"), Type: roster.Logout, Machine: "mailserver.local", Session: roster.Session{User: "chris"}},
	} {
		f.send(e)
	}
	var lines []string
	for v := range f.r.Machines("") {
		lines = append(lines, fmt.Sprintf("%s: %s", v.Name(), strings.Join(v.AppendUsers(nil), ", ")))
	}
	want := []string{"mailserver.local: ", "myworkstation.local: ", "webserver.local: lane"}
	if !slices.Equal(lines, want) {
		t.Errorf("roster is %q, want %q", lines, want)
	}
	if got := f.r.Status().Fates; got != (roster.Fates{roster.Applied: 6}) {
		// A login below its user's cleared register still raises the session's
		// register.
		t.Errorf("fates are %v", got)
	}
}

func TestFates(t *testing.T) {
	f := feed{r: roster.New(settings())}
	f.send(login("web", "alice", ""))
	old := login("web", "alice", "")
	old.Date = start
	f.send(old)
	f.send(roster.Event{Type: roster.Logout, Machine: "web", Session: roster.Session{User: "bob"}, Date: start - 11*hour})
	f.place += 10
	f.send(logout("web", "alice", ""))
	st := f.r.Status()
	want := roster.Fates{roster.Applied: 2, roster.Superseded: 1, roster.DeadLettered: 1, roster.Lost: 10}
	if st.Fates != want || st.Position.Place != 14 {
		t.Errorf("fates are %v at %d, want %v at 14", st.Fates, st.Position.Place, want)
	}
	if st.Losses[roster.Gap] != 13 || st.Unsettled != 1 {
		t.Errorf("losses are %v, unsettled %d", st.Losses, st.Unsettled)
	}
}

// TestHidden: a machine with nobody on disappears from reports once it has not been
// heard for the allowed lateness, and returns when it is heard.
func TestHidden(t *testing.T) {
	f := feed{r: roster.New(settings())}
	names := func() (names []string) {
		for v := range f.r.Machines("") {
			names = append(names, v.Name())
		}
		return names
	}
	f.send(login("off", "alice", ""))
	f.send(logout("off", "alice", ""))
	f.send(login("on", "alice", ""))
	if got := names(); !slices.Equal(got, []string{"off", "on"}) {
		t.Errorf("machines are %q", got)
	}
	later := login("web", "bob", "")
	later.Date = start + 11*hour
	f.send(later)
	if got := names(); !slices.Equal(got, []string{"on", "web"}) {
		t.Errorf("machines are %q", got)
	}
	back := login("off", "alice", "")
	back.Date = start + 11*hour
	f.send(back)
	if got := names(); !slices.Equal(got, []string{"off", "on", "web"}) {
		t.Errorf("machines are %q", got)
	}
}

// TestCut: while the fold continues, a cut stays as it was when it began, and
// readers never see half of an event.
func TestCut(t *testing.T) {
	f := feed{r: roster.New(settings())}
	pair := func(i int) roster.Event { // both or neither: a present of two
		e := roster.Event{Type: roster.Present, Machine: fmt.Sprintf("machine%03d", i%300)}
		if i%2 == 0 {
			e.Sessions = []roster.Session{{User: "alice"}, {User: fmt.Sprintf("user%d", i%7)}}
		}
		return e
	}
	for i := range 1000 {
		f.send(pair(i))
	}
	want := encode(t, f.r)
	e := f.r.Encode()
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				f.send(pair(i * 7))
			}
		}
	}()
	var readers sync.WaitGroup
	for range 2 {
		readers.Go(func() {
			for range 20 {
				readHalf(t, f.r)
			}
		})
	}
	var got bytes.Buffer
	slow := writerFunc(func(b []byte) (int, error) {
		f.r.Status() // give the fold time
		return got.Write(b)
	})
	if _, err := e.WriteTo(slow); err != nil {
		t.Error(err)
	}
	e.Close()
	readers.Wait()
	close(stop)
	<-done
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the cut is not what the roster was when it began")
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(b []byte) (int, error) { return f(b) }

func readHalf(t *testing.T, r *roster.Roster) {
	for v := range r.Machines("") {
		if n := len(v.AppendSessions(nil)); n != 0 && n != 2 || n != v.UserCount() {
			t.Errorf("%s has %d sessions and %d users", v.Name(), n, v.UserCount())
		}
	}
	for _, stay := range r.User("alice") {
		r.Machine(stay.Machine, func(v roster.View) { v.AppendUsers(nil) })
	}
	if st := r.Status(); st.Fates.Sum() != st.Position.Place {
		t.Errorf("fates %v, position %d", st.Fates, st.Position.Place)
	}
}

// TestBusy: a machine with many users, and a user on many machines, behave like
// small ones.
func TestBusy(t *testing.T) {
	f := feed{r: roster.New(settings())}
	o := newOracle(10*time.Minute, lateness)
	for i := range 2000 {
		e := login("terminal", fmt.Sprintf("user%d", i*7%500), []string{"", fmt.Sprint(i % 300)}[i%2])
		switch {
		case i%5 == 4:
			e.Type = roster.Logout
		case i%3 == 0:
			e.Machine, e.Session.User = fmt.Sprintf("machine%d", i%200), "root"
		}
		e.Date = start + roster.Time(i*7919%2000)*roster.Time(time.Second)
		f.send(e)
		o.read(roster.Message{Place: f.place, Receipt: e.Date, Event: e})
	}
	check(t, f.r, o)
	f.r = restore(t, f.r)
	check(t, f.r, o)
	if got, want := seen(f.r), o.fold(); !reflect.DeepEqual(got, want) {
		t.Error("restored roster differs")
	}
}
