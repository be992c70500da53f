package history

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"rollcall/internal/roster"
)

// machinesDrawn are the machines of these tests, and of one that nobody has heard of.
var machinesDrawn = []string{"web1", "web2", "web3", "db1"}

// told returns all stays, as the definition says, in the order of their beginnings.
func (w *world) told() []MachineStay {
	var all []MachineStay
	for name, events := range w.accepted {
		o := oracle{events: slices.Clone(events)}
		sortEvents(o.events)
		for _, s := range o.stays() {
			all = append(all, MachineStay{name, s})
		}
	}
	slices.SortFunc(all, func(a, b MachineStay) int { return cmp.Compare(begins(&a.Stay), begins(&b.Stay)) })
	return all
}

// begins returns where a stay stands among others: one that nobody saw begin, where
// it ended.
func begins(s *Stay) roster.Time {
	if s.Session.Since == Unknown {
		return s.Ended
	}
	return s.Session.Since
}

// view calls show with the history as a reader sees it.
func (w *world) view(show func(*View)) {
	c, err := openReader(w.path)
	if err != nil {
		w.t.Fatal(err)
	}
	defer c.Close()
	r := newReader("", c)
	if err := r.view(w.t.Context(), func(v *View) error { show(v); return nil }); err != nil {
		w.t.Fatal(err)
	}
}

// sameStays fails if two lists, in any order, are not the same.
func (w *world) sameStays(what string, got, want []MachineStay) {
	byAll := func(a, b MachineStay) int {
		return cmp.Or(cmp.Compare(a.Machine, b.Machine), cmp.Compare(fmt.Sprint(a.Stay), fmt.Sprint(b.Stay)))
	}
	got, want = slices.SortedFunc(slices.Values(got), byAll), slices.SortedFunc(slices.Values(want), byAll)
	if !slices.Equal(got, want) {
		w.t.Fatalf("%s: got\n%+v\nwant\n%+v", what, got, want)
	}
}

func only(all []MachineStay, wanted func(*MachineStay) bool) (list []MachineStay) {
	for i := range all {
		if wanted(&all[i]) {
			list = append(list, all[i])
		}
	}
	return list
}

// moment draws a moment, often one at which something happened.
func moment(t *rapid.T, name string) roster.Time {
	at := 85*minute + minute*roster.Time(rapid.IntRange(0, 60).Draw(t, name))
	return at + roster.Time(rapid.IntRange(-1, 1).Draw(t, name+" beside"))
}

// checkAt compares who was on at a moment with what the definition says.
func (w *world) checkAt(v *View, all []MachineStay) {
	at := moment(w.t, "at")
	on := only(all, func(s *MachineStay) bool { return s.On(at) })
	for _, name := range machinesDrawn {
		got, known, err := v.OnMachine(at, name)
		if err != nil || known != (w.accepted[name] != nil) {
			w.t.Fatalf("%s: known %v, %v", name, known, err)
		}
		w.sameStays(name, got, only(on, func(s *MachineStay) bool { return s.Machine == name }))
	}
	for _, name := range []string{"alice", "bob", "carol", "dave"} {
		got, err := v.OnUser(at, name)
		if err != nil {
			w.t.Fatal(err)
		}
		w.sameStays(name, got, only(on, func(s *MachineStay) bool { return s.Session.User == name }))
	}
	w.checkFleet(v, at, on)
}

// checkFleet compares the fleet at a moment: each machine of which events tell by then,
// and the names of its users.
func (w *world) checkFleet(v *View, at roster.Time, on []MachineStay) {
	silent := at.Add(-w.settings.AllowedLateness)
	after := rapid.SampledFrom([]string{"", "web1", "web3"}).Draw(w.t, "after")
	want := map[string][]string{}
	for name, events := range w.accepted {
		slices.SortStableFunc(events, compareDates)
		quiet := events[len(events)-1].Date < silent && !slices.ContainsFunc(on, func(s MachineStay) bool { return s.Machine == name })
		if name > after && earliest(events) <= at && !quiet {
			want[name] = []string{}
		}
	}
	for _, s := range on {
		if users, ok := want[s.Machine]; ok {
			want[s.Machine] = append(users, s.Session.User)
		}
	}
	machines, users := rapid.IntRange(1, 5).Draw(w.t, "machines at once"), rapid.IntRange(1, 5).Draw(w.t, "users at once")
	for more := true; more; {
		f, err := v.fleet(at, after, silent, machines, users)
		if err != nil {
			w.t.Fatal(err)
		}
		n := 0
		for _, has := range f.machines {
			if has {
				n++
			}
		}
		if n > machines || n > 1 && len(f.users) > users {
			w.t.Fatalf("a fleet of %d machines and %d users, want at most %d and %d", n, len(f.users), machines, users)
		}
		err = f.Machines(v, after, func(name string, users []string) bool {
			expected, ok := want[name]
			slices.Sort(expected)
			if !ok || name <= after || !slices.Equal(users, slices.Compact(expected)) {
				w.t.Fatalf("fleet at %d: %q after %q has %q, want %q", at, name, after, users, expected)
			}
			delete(want, name)
			after = name
			return true
		})
		if err != nil {
			w.t.Fatal(err)
		}
		more = f.More
	}
	if len(want) > 0 {
		w.t.Fatalf("fleet at %d: not there: %v", at, want)
	}
}

// checkForPeople compares how many stays the views have that people read.
func (w *world) checkForPeople(v *View, all []MachineStay) {
	user := rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(w.t, "read user")
	machine := rapid.SampledFrom(machinesDrawn).Draw(w.t, "read machine")
	for _, c := range []struct {
		statement, arg string
		wanted         func(*MachineStay) bool
	}{
		{"select count(*) from stays where user = ?", user, func(s *MachineStay) bool { return s.Session.User == user }},
		{"select count(*) from stays_by_machine where machine = ?", machine, func(s *MachineStay) bool { return s.Machine == machine }},
	} {
		q, err := prepared(v.c, c.statement, c.arg)
		if err != nil {
			w.t.Fatal(err)
		}
		for q.next() {
			if got, want := q.ColumnInt(0), len(only(all, c.wanted)); got != want {
				w.t.Fatalf("%s (%s): %d, want %d", c.statement, c.arg, got, want)
			}
		}
		if q.err != nil {
			w.t.Fatal(q.err)
		}
	}
}

// span draws a question about a span, and returns with it which stays it asks for.
func (w *world) span() (*Span, func(*MachineStay) bool) {
	t := w.t
	s := &Span{From: moment(t, "from"), To: moment(t, "to"), Oldest: rapid.Bool().Draw(t, "oldest"), Limit: rapid.IntRange(1, 7).Draw(t, "limit"), most: rapid.IntRange(1, 9).Draw(t, "most")}
	if s.From > s.To {
		s.From, s.To = s.To, s.From
	}
	maybe := func(name string, values ...string) string {
		return rapid.SampledFrom(append([]string{"", ""}, values...)).Draw(t, name)
	}
	s.User, s.Open = maybe("user asked", "alice", "bob", "dave"), rapid.IntRange(0, 5).Draw(t, "open asked") == 0
	accepts := func(*roster.Session) bool { return true }
	if remote := maybe("remote asked", "10.0.0.7"); remote != "" {
		accepts = func(s *roster.Session) bool { return s.Remote == remote }
		s.Accept = accepts
	}
	if rapid.Bool().Draw(t, "by machine") {
		s.Machines = rapid.SliceOfNDistinct(rapid.SampledFrom(machinesDrawn), 1, 3, rapid.ID).Draw(t, "machines asked")
	}
	if match := maybe("match", "web1", "web2"); match != "" {
		s.Match = func(name string) bool { return name == match }
	}
	return s, func(m *MachineStay) bool {
		return begins(&m.Stay) <= s.To && (m.How == NotEnded || m.Ended > s.From || begins(&m.Stay) >= s.From) &&
			(s.User == "" || m.Session.User == s.User) && accepts(&m.Session) && (!s.Open || m.How == NotEnded) &&
			(s.Machines == nil || slices.Contains(s.Machines, m.Machine)) && (s.Match == nil || s.Match(m.Machine))
	}
}

// checkStays compares the stays of a span, asked for page by page.
func (w *world) checkStays(v *View, all []MachineStay) {
	s, wanted := w.span()
	var got []MachineStay
	for {
		page, next, err := v.Stays(s)
		if err != nil || len(page) > s.Limit {
			w.t.Fatalf("%d stays, limit %d, %v", len(page), s.Limit, err)
		}
		got = append(got, page...)
		if s.After = next; next == nil {
			break
		}
	}
	ordered := slices.IsSortedFunc(got, func(a, b MachineStay) int {
		n := cmp.Compare(begins(&a.Stay), begins(&b.Stay))
		if s.Oldest {
			return n
		}
		return -n
	})
	if !ordered {
		w.t.Fatalf("%+v: not in order: %+v", s, got)
	}
	w.sameStays(fmt.Sprintf("%+v", s), got, only(all, wanted))
}

// TestView: whatever is asked about any moment, machine, user or span, the answer is
// what the definition says, page by page.
func TestView(t *testing.T) {
	worlds(t, func(t *rapid.T, w *world) {
		for range rapid.IntRange(1, 4).Draw(t, "batches") {
			if err := w.w.write([]*batch{w.batch()}); err != nil {
				t.Fatal(err)
			}
		}
		w.checkIndexes()
		all := w.told()
		w.view(func(v *View) {
			w.checkForPeople(v, all)
			for range 3 {
				w.checkAt(v, all)
				w.checkMarks(v)
				for range 4 {
					w.checkStays(v, all)
				}
			}
		})
	})
}

// TestTooLong: what interrupts a question is told from what the disk does.
func TestTooLong(t *testing.T) {
	worlds(t, func(t *rapid.T, w *world) {
		c, err := openReader(w.path)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		// The second time it is too late before it begins.
		for range 2 {
			err = newReader("", c).view(ctx, func(v *View) error {
				cancel()
				_, _, err := v.Stays(&Span{To: roster.MaxDate, Limit: 10})
				return err
			})
			if !errors.Is(err, context.Canceled) {
				t.Fatalf("%v", err)
			}
		}
	})
}

// TestPagesWhileWriting: of the stays that there are while all pages of an answer are
// asked for, and that can be told apart by how they began, none is listed twice, whether
// or not it ends meanwhile, and none is missing that began alone at its moment.
func TestPagesWhileWriting(t *testing.T) {
	worlds(t, func(t *rapid.T, w *world) {
		w.settings.AllowedLateness = 0
		for range 4 {
			if err := w.w.write([]*batch{w.batch()}); err != nil {
				t.Fatal(err)
			}
			w.checkPages()
		}
	})
}

// checkPages asks for all pages of an answer, and writes events after each.
func (w *world) checkPages() {
	t := w.t
	s := &Span{To: 140*minute + w.later, Oldest: rapid.IntRange(0, 3).Draw(t, "oldest") == 0, Limit: rapid.IntRange(1, 3).Draw(t, "limit")}
	if rapid.Bool().Draw(t, "by machine") {
		s.Machines = []string{"web1"}
	}
	always, alone := w.beginnings(s.Machines)
	listed := map[string]int{}
	for more := true; more; more = s.After != nil {
		w.view(func(v *View) {
			page, next, err := v.Stays(s)
			if err != nil {
				t.Fatal(err)
			}
			for i := range page {
				listed[began(&page[i])]++
			}
			s.After = next
		})
		w.later += 5 * minute
		if err := w.w.write([]*batch{w.batch()}); err != nil {
			t.Fatal(err)
		}
		now, moments := w.beginnings(s.Machines)
		maps.DeleteFunc(always, func(k string, n int) bool { return n != 1 || now[k] != 1 })
		maps.DeleteFunc(alone, func(k string, n int) bool { return n != 1 || moments[k] != 1 })
	}
	for k := range always {
		if n := listed[k]; n > 1 || n == 0 && alone[k[:strings.Index(k, "/")]] == 1 {
			t.Fatalf("%s is listed %d times", k, n)
		}
	}
}

// began identifies a stay by how it began: its machine, moment, session and user.
func began(s *MachineStay) string {
	return fmt.Sprint(s.Machine, " ", begins(&s.Stay), "/", s.Session.ID, " ", s.Session.User)
}

// beginnings counts the stays of machines by how they began, and by when and where.
func (w *world) beginnings(machines []string) (each, moments map[string]int) {
	each, moments = map[string]int{}, map[string]int{}
	for _, s := range w.told() {
		if machines == nil || slices.Contains(machines, s.Machine) {
			k := began(&s)
			each[k]++
			moments[k[:strings.Index(k, "/")]]++
		}
	}
	return each, moments
}
