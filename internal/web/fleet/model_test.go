package fleet

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"rollcall/internal/api"
)

var (
	anyMachine = rapid.SampledFrom([]string{
		"web1.fra.example.com", "web2.fra.example.com", "WEB3.fra.example.com", "db1.muc.example.com", "db2.muc.example.com",
		"host7", "host8", "host-9", "mail", ".local", "é1", "a b", `q"1`, "-dash", "user:anna", "10.0.0.7",
	})
	anyUser = rapid.SampledFrom([]string{"anna", "ANNA.B", "kim", "kim lee", "σς", "'quoted'", "root", "web1"})
	noon    = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
)

// anyState returns what may be known of a machine.
func anyState(t *rapid.T, name string) api.Machine {
	users := rapid.SliceOfNDistinct(anyUser, 0, 5, rapid.ID).Draw(t, "users")
	slices.Sort(users)
	return api.Machine{
		Name: name, Users: users,
		Silent:     rapid.IntRange(0, 3).Draw(t, "silent") == 0,
		Incomplete: rapid.IntRange(0, 5).Draw(t, "incomplete") == 0,
		Missing:    uint64(rapid.SampledFrom([]int{0, 0, 0, 7}).Draw(t, "missing")),
		Heard:      noon.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "heard")) * time.Minute),
		Changed:    noon.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "changed")) * time.Minute),
	}
}

// model is a plain fleet.
type model struct {
	rev      uint64
	machines map[string]api.Machine
	revs     map[string]uint64 // of the last change of each machine
	users    map[string]uint64 // of the last change of where each user is
	members  uint64
	news     []News // the latest first
}

func newModel() *model {
	return &model{rev: 1, machines: map[string]api.Machine{}, revs: map[string]uint64{}, users: map[string]uint64{}}
}

// on returns the machines of each user.
func (m *model) on() map[string][]string {
	on := map[string][]string{}
	for _, name := range slices.Sorted(maps.Keys(m.machines)) {
		for _, user := range m.machines[name].Users {
			on[user] = append(on[user], name)
		}
	}
	return on
}

// change counts a revision, and marks the users whose machines it changes.
func (m *model) change(how func()) {
	m.rev++
	before := m.on()
	how()
	after := m.on()
	for user := range before {
		if after[user] == nil {
			delete(m.users, user)
		}
	}
	for user, on := range after {
		if !slices.Equal(on, before[user]) {
			m.users[user] = m.rev
		}
	}
}

func (m *model) set(machine api.Machine) {
	if _, known := m.machines[machine.Name]; !known {
		m.members = m.rev
	}
	m.machines[machine.Name], m.revs[machine.Name] = machine, m.rev
}

// setOne sets a machine. When it was heard from last is no change.
func (m *model) setOne(machine api.Machine) {
	if old, known := m.machines[machine.Name]; known {
		old.Heard = machine.Heard
		if fmt.Sprint(old) == fmt.Sprint(machine) {
			m.machines[machine.Name] = machine
			return
		}
	}
	m.change(func() { m.set(machine) })
}

// step does the same to a fleet and to the model.
func (m *model) step(t *rapid.T, f *Fleet) {
	switch rapid.IntRange(0, 9).Draw(t, "step") {
	case 0, 1, 2:
		one := anyState(t, anyMachine.Draw(t, "machine"))
		f.Set(one)
		m.setOne(one)
	case 3, 4, 5:
		one := anyState(t, anyMachine.Draw(t, "machine"))
		came := rapid.SliceOfNDistinct(anyUser, 0, 3, rapid.ID).Draw(t, "came")
		left := rapid.SliceOfNDistinct(anyUser, 0, 3, rapid.ID).Draw(t, "left")
		when := noon.Add(time.Duration(m.rev) * time.Second)
		f.Change(one, came, left, when)
		if len(came)+len(left) == 0 {
			m.setOne(one)
			return
		}
		m.change(func() { m.set(one) })
		for _, user := range left {
			m.news = slices.Insert(m.news, 0, News{when, one.Name, user, false, m.rev})
		}
		for _, user := range came {
			m.news = slices.Insert(m.news, 0, News{when, one.Name, user, true, m.rev})
		}
	case 6:
		names := rapid.SliceOfNDistinct(anyMachine, 0, 8, rapid.ID).Draw(t, "machines")
		var all []api.Machine
		for _, name := range names {
			all = append(all, anyState(t, name))
		}
		f.Fill(all)
		m.change(func() {
			for _, one := range all {
				m.set(one)
			}
		})
	case 7, 8:
		name := anyMachine.Draw(t, "machine")
		f.Remove(name)
		if _, known := m.machines[name]; !known {
			return
		}
		m.change(func() {
			delete(m.machines, name)
			delete(m.revs, name)
			m.members = m.rev
		})
	case 9:
		f.Touch()
		m.rev++
	}
}

// TestFleet: after any changes the fleet is that of plain maps and sorts.
func TestFleet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f, m := New(), newModel()
		for range rapid.IntRange(1, 30).Draw(t, "steps") {
			before, changed := f.Rev()
			m.step(t, f)
			rev, _ := f.Rev()
			if rev != m.rev {
				t.Fatalf("revision %d, want %d", rev, m.rev)
			}
			select {
			case <-changed:
				if rev == before {
					t.Fatal("the channel is closed without a new revision")
				}
			default:
				if rev != before {
					t.Fatal("the channel is not closed by the next revision")
				}
			}
			m.wantTotals(t, f)
			m.wantNames(t, f)
			if got, want := f.News(5), m.news[:min(5, len(m.news))]; !slices.Equal(got, want) {
				t.Fatalf("news %v, want %v", got, want)
			}
		}
		if got, want := f.News(keptNews), m.news[:min(keptNews, len(m.news))]; !slices.Equal(got, want) {
			t.Fatalf("news %v, want %v", got, want)
		}
		m.wantMachines(t, f)
		m.wantUsers(t, f)
		m.wantLayout(t, f)
	})
}

func (m *model) wantTotals(t *rapid.T, f *Fleet) {
	want := Totals{Machines: len(m.machines)}
	for _, one := range m.machines {
		if len(one.Users) > 0 {
			want.Used++
		}
		if one.Silent {
			want.Silent++
		}
		if one.Incomplete || one.Missing > 0 {
			want.Lacking++
		}
	}
	for _, on := range m.on() {
		want.Users++
		if len(on) > 1 {
			want.Several++
		}
	}
	got := f.Totals()
	// The revision of the last change of any number, or a later one.
	want.Rev = got.Rev
	if got != want || got.Rev > m.rev {
		t.Fatalf("totals %+v, want %+v", got, want)
	}
}

func (m *model) wantNames(t *rapid.T, f *Fleet) {
	name := anyMachine.Draw(t, "asked")
	got, want := f.Machine(name), m.machines[name]
	if got == nil {
		got = &Machine{}
	}
	m.wantMachine(t, got, want)
	user := anyUser.Draw(t, "asked user")
	on := m.on()[user]
	n := rapid.IntRange(0, 4).Draw(t, "n")
	u, where := f.User(user, n)
	if u == nil {
		u = &User{Name: user}
	}
	if u.Name != user || u.Machines != len(on) || u.Rev != m.users[user] || !slices.Equal(where, on[:min(n, len(on))]) {
		t.Fatalf("%q: %+v on %q; want %q, changed at %d", user, u, where, on, m.users[user])
	}
}

func (m *model) wantMachine(t *rapid.T, got *Machine, want api.Machine) {
	same := slices.Equal(got.Users, want.Users) && got.Rev == m.revs[want.Name]
	plain := got.Machine
	plain.Users, want.Users = nil, nil
	if !same || fmt.Sprint(plain) != fmt.Sprint(want) {
		t.Fatalf("%+v, want %+v, changed at %d", got, want, m.revs[want.Name])
	}
}

// fresh calls get until its revision is the last one: what takes long is not made again at
// once.
func fresh[T any](f *Fleet, get func() T, revOf func(T) uint64) T {
	for {
		got := get()
		if rev, _ := f.Rev(); revOf(got) == rev {
			return got
		}
		time.Sleep(50 * time.Microsecond)
	}
}

// anySelection returns a selection, with the words of its filter.
func anySelection(t *rapid.T, states, sorts []string) (Selection, []word) {
	words := anyWords(t)
	f, err := ParseFilter(written(t, words))
	if err != nil {
		t.Fatal(err)
	}
	return Selection{
		Filter: f, State: rapid.SampledFrom(states).Draw(t, "state"),
		Group: rapid.SampledFrom([]string{"", "", "", "fra.example.com", "host", "none"}).Draw(t, "group"),
		Sort:  rapid.SampledFrom(sorts).Draw(t, "sort"),
	}, words
}

// anyRemotes returns the machines and the users with sessions from the remotes of the
// words.
func anyRemotes(t *rapid.T, s *Selection, words []word) (machines, users map[string][]string) {
	machines, users = map[string][]string{}, map[string][]string{}
	for _, w := range words {
		if w.field == "remote" && machines[w.text] == nil {
			machines[w.text] = rapid.SliceOfNDistinct(anyMachine, 0, 8, rapid.ID).Draw(t, "machines with the remote")
			users[w.text] = rapid.SliceOfNDistinct(anyUser, 0, 4, rapid.ID).Draw(t, "users with the remote")
		}
	}
	var asked []string
	for _, w := range words {
		if w.field == "remote" && !slices.Contains(asked, w.text) {
			asked = append(asked, w.text)
		}
	}
	if got := s.Filter.Remotes(); !slices.Equal(got, asked) {
		t.Fatalf("remotes %q, want %q", got, asked)
	}
	for text := range machines {
		s.Filter.OnRemotes(text, machines[text], users[text])
	}
	return machines, users
}

// wantMachines compares a list of machines with all that the model selects.
func (m *model) wantMachines(t *rapid.T, f *Fleet) {
	s, words := anySelection(t, []string{"", "used", "nobody", "silent"},
		[]string{"", "name", "-name", "users", "-users", "changed", "-changed", "heard", "-heard"})
	remotes, _ := anyRemotes(t, &s, words)
	var want []api.Machine
	for _, name := range slices.Sorted(maps.Keys(m.machines)) {
		one := m.machines[name]
		selected := true
		switch s.State {
		case "used":
			selected = len(one.Users) > 0
		case "nobody":
			selected = len(one.Users) == 0 && !one.Silent
		case "silent":
			selected = one.Silent
		}
		selected = selected && (s.Group == "" || GroupOf(name) == s.Group)
		for _, w := range words {
			byName := contains(name, w.text)
			byUser := slices.ContainsFunc(one.Users, func(user string) bool { return contains(user, w.text) })
			has := map[string]bool{"": byName || byUser, "machine": byName, "user": byUser, "remote": slices.Contains(remotes[w.text], name)}[w.field]
			selected = selected && has != w.not
		}
		if selected {
			want = append(want, one)
		}
	}
	slices.SortStableFunc(want, func(a, b api.Machine) int {
		by, down := strings.TrimPrefix(s.Sort, "-"), strings.HasPrefix(s.Sort, "-")
		c := map[string]int{
			"": strings.Compare(a.Name, b.Name), "name": strings.Compare(a.Name, b.Name),
			"users": cmp.Compare(len(b.Users), len(a.Users)), "changed": b.Changed.Compare(a.Changed), "heard": b.Heard.Compare(a.Heard),
		}[by]
		if down {
			c = -c
		}
		return c
	})
	list := fresh(f, func() *List[*Machine] { return f.Machines(&s) }, func(l *List[*Machine]) uint64 { return l.Rev })
	if list.Len != len(want) {
		t.Fatalf("%+v: %d machines, want %d", s, list.Len, len(want))
	}
	from, n := rapid.IntRange(-1, len(want)+2).Draw(t, "from"), rapid.IntRange(0, len(want)+2).Draw(t, "n")
	rows := list.Rows(from, n)
	from = max(0, from)
	want = want[min(from, len(want)):min(from+n, len(want))]
	if len(rows) != len(want) {
		t.Fatalf("%+v: from %d, %d: %d rows, want %d", s, from, n, len(rows), len(want))
	}
	for i := range rows {
		m.wantMachine(t, rows[i], want[i])
	}
}

// wantUsers compares a list of users with all that the model selects.
func (m *model) wantUsers(t *rapid.T, f *Fleet) {
	s, words := anySelection(t, []string{"", "several"}, []string{"", "name", "-name", "machines", "-machines"})
	s.Group = ""
	_, remotes := anyRemotes(t, &s, words)
	on := m.on()
	var want []string
	for _, user := range slices.Sorted(maps.Keys(on)) {
		selected := s.State == "" || len(on[user]) > 1
		for _, w := range words {
			byName := contains(user, w.text)
			byMachine := slices.ContainsFunc(on[user], func(machine string) bool { return contains(machine, w.text) })
			has := map[string]bool{"": byName || byMachine, "user": byName, "machine": byMachine, "remote": slices.Contains(remotes[w.text], user)}[w.field]
			selected = selected && has != w.not
		}
		if selected {
			want = append(want, user)
		}
	}
	slices.SortStableFunc(want, func(a, b string) int {
		c := len(on[b]) - len(on[a])
		if strings.TrimPrefix(s.Sort, "-") == "name" {
			c = strings.Compare(a, b)
		}
		if strings.HasPrefix(s.Sort, "-") {
			c = -c
		}
		return c
	})
	list := fresh(f, func() *List[*User] { return f.Users(&s) }, func(l *List[*User]) uint64 { return l.Rev })
	var got []string
	for _, u := range list.Rows(0, len(on)+1) {
		got = append(got, u.Name)
		if u.Machines != len(on[u.Name]) || u.Rev != m.users[u.Name] {
			t.Fatalf("%+v, want %d machines, changed at %d", u, len(on[u.Name]), m.users[u.Name])
		}
	}
	if !slices.Equal(got, want) || list.Len != len(want) {
		t.Fatalf("%+v: %q, want %q", s, got, want)
	}
}

func layoutOf(f *Fleet) *Layout {
	return fresh(f, f.Layout, func(l *Layout) uint64 { return l.Rev })
}

// wantLayout: each machine is in the map once, in the group of its name, and its tile
// shows its users and its silence.
func (m *model) wantLayout(t *rapid.T, f *Fleet) {
	l := layoutOf(f)
	if l.Each != 1 || l.Members != m.members {
		t.Fatalf("%d machines a tile, members of %d, want 1 and %d", l.Each, l.Members, m.members)
	}
	var got, groups []string
	since := uint64(rapid.IntRange(0, int(m.rev)).Draw(t, "since"))
	for i := range l.Groups {
		g := &l.Groups[i]
		groups = append(groups, g.Name)
		var names []string
		used, silent := 0, 0
		changed := collect(func(yield func(int) bool) {
			g.Changed(since, func(tile int) { yield(tile) })
		})
		for tile := range g.Tiles {
			names = append(names, l.Names(i, tile)...)
			one := m.machines[l.Names(i, tile)[0]]
			if GroupOf(one.Name) != g.Name {
				t.Fatalf("%q is in group %q", one.Name, g.Name)
			}
			want := "01222333333333344"[len(one.Users)]
			if len(one.Users) > 0 {
				used++
			}
			if one.Silent {
				silent++
				want += 'a' - '0'
			}
			if g.Tiles[tile] != want {
				t.Fatalf("tile of %+v: %c, want %c", one, g.Tiles[tile], want)
			}
			if is, should := slices.Contains(changed, tile), m.revs[one.Name] > since; is != should {
				t.Fatalf("changed since %d: %v, but %q has changed at %d", since, is, one.Name, m.revs[one.Name])
			}
		}
		if g.Rest || g.Machines != len(names) || g.Used != used || g.Silent != silent || !slices.IsSorted(names) {
			t.Fatalf("%+v, want %d machines, %d used, %d silent: %q", g, len(names), used, silent, names)
		}
		got = append(got, names...)
	}
	slices.Sort(got)
	if !slices.Equal(got, slices.Sorted(maps.Keys(m.machines))) || !slices.IsSorted(groups) {
		t.Fatalf("in the map: %q in %q", got, groups)
	}
}
