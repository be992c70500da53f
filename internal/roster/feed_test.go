package roster_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// followed is who is on, as a reader of changes has it: machine → users.
type followed map[string][]string

// take applies the changes, and checks each against the state before it.
func (f followed) take(t rapid.TB, follower *roster.Feed) {
	t.Helper()
	_, complete := follower.Take()
	if !complete {
		t.Fatal("not complete")
	}
	for c := range follower.Changes() {
		before := f[c.Machine]
		want := slices.DeleteFunc(slices.Clone(before), func(user string) bool { return slices.Contains(c.Left, user) })
		want = append(want, c.Arrived...)
		slices.Sort(want)
		if !slices.Equal(want, c.Users) {
			t.Fatalf("%s: %q were on, %q came and %q left, %q are on", c.Machine, before, c.Arrived, c.Left, c.Users)
		}
		f[c.Machine] = slices.Clone(c.Users)
	}
	maps.DeleteFunc(f, func(_ string, users []string) bool { return len(users) == 0 })
}

// onMachines returns who is on according to the roster.
func onMachines(r *roster.Roster) followed {
	f := followed{}
	for v := range r.Machines("") {
		if users := v.AppendUsers(nil); len(users) > 0 {
			f[v.Name()] = users
		}
	}
	return f
}

// TestFeed: whenever the changes are taken, applying them to the previous state
// gives the current one.
func TestFeed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := roster.New(settings())
		follower := r.OpenFeed(1000)
		defer follower.Close()
		known := followed{}
		for rest := history(t, true); len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
			fold(r, rest[:n]...)
			rest = rest[n:]
			if rapid.Bool().Draw(t, "take") {
				known.take(t, follower)
			}
		}
		known.take(t, follower)
		if want := onMachines(r); !maps.EqualFunc(known, want, slices.Equal) {
			t.Fatalf("%v, want %v", known, want)
		}
	})
}

// changesOf returns the changes, a line for each machine.
func changesOf(f *roster.Feed) (lines []string) {
	f.Take()
	for c := range f.Changes() {
		line := c.Machine
		for _, user := range c.Arrived {
			line += " +" + user
		}
		for _, user := range c.Left {
			line += " -" + user
		}
		lines = append(lines, line)
	}
	return lines
}

// TestFeedPresent: what a single event reverts itself is no change; what two events
// revert is one, as the state between them was visible.
func TestFeedPresent(t *testing.T) {
	present := func(users ...string) roster.Event {
		e := roster.Event{Type: roster.Present, Machine: "web"}
		for _, user := range users {
			e.Sessions = append(e.Sessions, roster.Session{User: user})
		}
		return e
	}
	r := roster.New(roster.DefaultSettings())
	follower := r.OpenFeed(100)
	defer follower.Close()
	for _, test := range []struct {
		events []roster.Event
		want   []string
	}{
		{[]roster.Event{present("chris", "lane")}, []string{"web +chris +lane"}},
		{[]roster.Event{present("chris", "lane"), present("lane", "chris")}, nil},
		{[]roster.Event{present("chris", "jordan")}, []string{"web +jordan -lane"}},
		{[]roster.Event{kit.Logout("web", "jordan"), kit.Login("web", "jordan")}, []string{"web"}},
		{[]roster.Event{kit.Logout("db", "lane")}, []string{"db"}}, // a new machine
		{[]roster.Event{{Type: roster.Boot, Machine: "db"}}, nil},
		{[]roster.Event{kit.Logout("db", "lane")}, []string{"db"}}, // raises changed
		{[]roster.Event{kit.Login("web", "chris")}, []string{"web"}},
		{[]roster.Event{{Type: roster.Boot, Machine: "db", Origin: "o", Number: 2}}, []string{"db"}},
		{[]roster.Event{{Type: roster.Boot, Machine: "db", Origin: "o", Number: 3}}, nil},
		{nil, nil},
	} {
		kit.Feed(r, test.events...)
		if got := changesOf(follower); !slices.Equal(got, test.want) {
			t.Errorf("%+v: %q, want %q", test.events, got, test.want)
		}
	}
}

// shown is what reports show of a machine, beside when it was heard.
type shown struct {
	users               string
	changed             time.Time
	incomplete, visible bool
	missing             uint64
}

// shownBy returns what the roster shows of its machines.
func shownBy(r *roster.Roster) map[string]shown {
	machines := map[string]shown{}
	for v := range r.Machines("") {
		machines[v.Name()] = shown{fmt.Sprint(v.AppendUsers(nil)), v.Changed(), v.Incomplete(), true, v.Missing()}
	}
	return machines
}

// TestFeedFields: who applies the changes and forgets the machines that are hidden knows
// what reports show of each machine: whatever is refused because of a limit, missing or
// heard again. (What a loss does to all machines at once is no change.)
func TestFeedFields(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := settings()
		s.MaxSessionsPerMachine = rapid.IntRange(1, 3).Draw(t, "limit")
		r := roster.New(s)
		follower := r.OpenFeed(1000)
		defer follower.Close()
		known, losses := map[string]shown{}, roster.Losses{}
		messages := history(t, true)
		for i := range messages {
			if number := rapid.Uint64Range(0, 6).Draw(t, "number"); number > 0 {
				messages[i].Event.Origin, messages[i].Event.Number = "o", number
			}
		}
		for rest := messages; len(rest) > 0; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "batch")
			fold(r, rest[:n]...)
			rest = rest[n:]
			follower.Take()
			for c := range follower.Changes() {
				known[c.Machine] = shown{fmt.Sprint(c.Users), c.Changed, c.Incomplete, c.Shown, c.Missing}
			}
			want := shownBy(r)
			if lost := r.Status().Losses; lost != losses { // an event of an unknown machine was refused
				losses, known = lost, maps.Clone(want)
			}
			maps.DeleteFunc(known, func(name string, _ shown) bool { _, is := want[name]; return !is })
			if !maps.Equal(known, want) {
				t.Fatalf("known\n%+v, want\n%+v", known, want)
			}
		}
	})
}

// TestFeedOverflow: that transitions were dropped is reported, once, and the next
// changes are complete again.
func TestFeedOverflow(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	follower := r.OpenFeed(4)
	defer follower.Close()
	feed := func(n int) {
		for i := range n {
			kit.Feed(r, kit.Login("web", string(rune('a'+i))))
		}
	}
	feed(1)
	if len(follower.HalfFull()) != 0 {
		t.Error("half full with one transition of four")
	}
	feed(5)
	<-follower.HalfFull()
	if place, complete := follower.Take(); complete || place != 6 {
		t.Errorf("complete at place %d", place)
	}
	for c := range follower.Changes() {
		t.Errorf("%+v", c)
	}
	kit.Feed(r, kit.Logout("web", "a"))
	if got := changesOf(follower); !slices.Equal(got, []string{"web -a"}) {
		t.Errorf("then %q", got)
	}
	follower.Close()
	feed(1)
	if got := changesOf(follower); got != nil {
		t.Errorf("when closed %q", got)
	}
}

// TestFeedWhileFolding: a reader concurrent with the fold ends with the current
// state.
func TestFeedWhileFolding(t *testing.T) {
	f := kit.NewFleet(1, kit.Mixed, 200)
	r := roster.New(roster.DefaultSettings())
	follower := r.OpenFeed(100_000)
	defer follower.Close()
	folded := make(chan struct{})
	go func() {
		defer close(folded)
		f.Fold(r, 20_000)
	}()
	known := followed{}
	look := func() {
		if _, complete := follower.Take(); !complete {
			t.Fatal("not complete")
		}
		for c := range follower.Changes() {
			known[c.Machine] = slices.Clone(c.Users)
		}
	}
	for done := false; !done; look() {
		select {
		case <-folded:
			done = true
		default:
		}
	}
	maps.DeleteFunc(known, func(_ string, users []string) bool { return len(users) == 0 })
	if want := onMachines(r); !maps.EqualFunc(known, want, slices.Equal) {
		t.Errorf("%v, want %v", known, want)
	}
}

// TestFeedAllocates: recording transitions allocates nothing once the buffers are
// large enough.
func TestFeedAllocates(t *testing.T) {
	r := roster.New(roster.DefaultSettings())
	follower := r.OpenFeed(1000)
	defer follower.Close()
	batch := roster.Batch{Messages: make([]roster.Message, 2)}
	both := func() {
		for i, e := range []roster.Event{kit.Login("web", "lane"), kit.Logout("web", "lane")} {
			batch.End.Place++
			e.Date = start + roster.Time(batch.End.Place)
			batch.Messages[i] = roster.Message{Place: batch.End.Place, Receipt: e.Date, Event: e}
		}
		r.Fold(&batch)
		follower.Take()
	}
	for range 10 {
		both()
	}
	if n := testing.AllocsPerRun(100, both); n > 1 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkFoldWithFeed is BenchmarkFold with a feed, whose changes are taken after
// every ten batches.
func BenchmarkFoldWithFeed(b *testing.B) {
	events := kit.Scale(1_000_000)
	b.ReportAllocs()
	var batch roster.Batch
	for folded := 0; folded < b.N; {
		b.StopTimer()
		f := kit.NewFleet(1, kit.Mixed, kit.Scale(100_000))
		r := roster.New(roster.DefaultSettings())
		follower := r.OpenFeed(100_000)
		for end := min(folded+events, b.N); folded < end; folded += len(batch.Messages) {
			f.Fill(&batch, min(500, end-folded))
			b.StartTimer()
			r.Fold(&batch)
			b.StopTimer()
			if folded/500%10 == 9 {
				if _, complete := follower.Take(); !complete {
					b.Fatal("not complete")
				}
			}
		}
	}
}
