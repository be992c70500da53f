package fleet

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rollcall/internal/api"
	"rollcall/internal/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestGroupOf: a machine belongs to its domain, or to what its name begins with.
func TestGroupOf(t *testing.T) {
	for name, want := range map[string]string{
		"web1.fra.example.com": "fra.example.com", "web1.local": "local", ".local": "local", "web1.": "",
		"host7": "host", "host-07": "host", "host_7b": "host", "WS12A": "WS", "é1": "é",
		"mail": "", "7host": "", "-1": "", "": "",
	} {
		if got := GroupOf(name); got != want {
			t.Errorf("%q: %q, want %q", name, got, want)
		}
	}
}

// TestManyGroups: beyond 60 groups the smallest are one, so that a fleet of any naming has a
// map.
func TestManyGroups(t *testing.T) {
	f := New()
	var all []api.Machine
	for group := range 100 {
		for i := range 1 + (group*37)%100 {
			all = append(all, api.Machine{Name: fmt.Sprintf("h%03d.g%02d", i, group)})
		}
	}
	f.Fill(all)
	l := layoutOf(f)
	if len(l.Groups) != maxGroups {
		t.Fatalf("%d groups, want %d", len(l.Groups), maxGroups)
	}
	rest := l.Groups[maxGroups-1]
	if !rest.Rest || rest.Name != "" {
		t.Errorf("the last group is %q", rest.Name)
	}
	least, machines := len(all), 0
	for i := range l.Groups {
		machines += l.Groups[i].Machines
		if !l.Groups[i].Rest {
			least = min(least, l.Groups[i].Machines)
		}
	}
	if machines != len(all) {
		t.Errorf("%d machines, want %d", machines, len(all))
	}
	// 100 groups of 1 to 100 machines: the 41 smallest have at most 41.
	if want := 41 * 42 / 2; rest.Machines != want || least != 42 {
		t.Errorf("%d machines in the rest, and at least %d in each other group; want %d and 42", rest.Machines, least, want)
	}
	var names []string
	for tile := range rest.Tiles {
		names = append(names, l.Names(maxGroups-1, tile)...)
	}
	if len(names) != rest.Machines || !slices.IsSorted(names) {
		t.Errorf("the rest has %d names", len(names))
	}
}

// TestManyMachines: there are at most 20,000 tiles and as many as groups. Each stands for
// neighbours: their share in use, whether one of them is silent, and the last change of
// any.
func TestManyMachines(t *testing.T) {
	for _, n := range []int{maxTiles, maxTiles + 1, kit.Length(2*maxTiles+1, 100_000)} {
		f := New()
		var all []api.Machine
		for i := range n {
			m := api.Machine{Name: fmt.Sprintf("h%06d.g%d", i, i%3), Silent: i%1000 == 7}
			if i/5%2 == 0 {
				m.Users = []string{"kim"}
			}
			all = append(all, m)
		}
		f.Fill(all)
		since, _ := f.Rev()
		const moved = "h000300.g0"
		f.Set(api.Machine{Name: moved})
		l := layoutOf(f)
		tiles, machines := 0, 0
		for i := range l.Groups {
			g := &l.Groups[i]
			tiles += len(g.Tiles)
			g.Changed(since, func(tile int) {
				if !slices.Contains(l.Names(i, tile), moved) {
					t.Errorf("the tile of %q has changed", l.Names(i, tile))
				}
				tiles += 1 << 20
			})
			for tile := range g.Tiles {
				names := l.Names(i, tile)
				machines += len(names)
				used, users, silent := 0, 0, false
				for _, name := range names {
					m := f.Machine(name)
					users += len(m.Users)
					if len(m.Users) > 0 {
						used++
					}
					silent = silent || m.Silent
				}
				want := "0"
				switch share := float64(used) / float64(len(names)); {
				case l.Each == 1:
					want = []string{"0", "1"}[users]
				case share == 0:
				case share <= .25:
					want = "1"
				case share <= .5:
					want = "2"
				case share <= .75:
					want = "3"
				default:
					want = "4"
				}
				if silent {
					want = map[string]string{"0": "a", "1": "b", "2": "c", "3": "d", "4": "e"}[want]
				}
				if got := string(g.Tiles[tile]); got != want {
					t.Fatalf("%d machines: a tile of %d, %d in use, silent %v: %s, want %s", n, len(names), used, silent, got, want)
				}
			}
		}
		if changed := tiles >> 20; changed != 1 {
			t.Errorf("%d tiles have changed, want 1", changed)
		}
		tiles &= 1<<20 - 1
		if tiles > maxTiles+len(l.Groups) || machines != n || l.Each != (n+maxTiles-1)/maxTiles {
			t.Errorf("%d machines: %d in %d tiles of %d", n, machines, tiles, l.Each)
		}
	}
}

// TestNoTile: there are no machines where there is no tile.
func TestNoTile(t *testing.T) {
	f := New()
	f.Set(api.Machine{Name: "web1"})
	l := layoutOf(f)
	for _, place := range [][2]int{{-1, 0}, {1, 0}, {0, -1}, {0, 1}, {0, 1 << 62}} {
		if names := l.Names(place[0], place[1]); names != nil {
			t.Errorf("%v: %q", place, names)
		}
	}
	if names := l.Names(0, 0); !slices.Equal(names, []string{"web1"}) {
		t.Errorf("%q", names)
	}
}

// TestNews: the last arrivals and departures are kept, however many there were.
func TestNews(t *testing.T) {
	f := New()
	for i := range 10 * keptNews {
		f.Change(api.Machine{Name: "web1"}, []string{fmt.Sprint(i)}, nil, noon)
		news := f.News(2 * keptNews)
		if len(news) < min(i+1, keptNews) {
			t.Fatalf("%d are kept of %d", len(news), i+1)
		}
		for n := range news {
			if want := fmt.Sprint(i - n); news[n].User != want {
				t.Fatalf("number %d of the news is %q, want %q", n, news[n].User, want)
			}
		}
	}
}

// TestRemoteLists: a list that a remote selects is made again when other machines have
// sessions from there, also if no machine changed.
func TestRemoteLists(t *testing.T) {
	f := New()
	f.Fill([]api.Machine{{Name: "db1"}, {Name: "web1"}})
	for _, on := range [][]string{{"db1"}, {"web1"}, nil, {"web1", "db1"}} {
		filter, err := ParseFilter("remote:10.")
		if err != nil {
			t.Fatal(err)
		}
		filter.OnRemotes("10.", on, nil)
		var got []string
		for _, m := range f.Machines(&Selection{Filter: filter}).Rows(0, 9) {
			got = append(got, m.Name)
		}
		if slices.Sort(on); !slices.Equal(got, on) {
			t.Errorf("%q are listed, but %q have sessions from there", got, on)
		}
	}
}

// TestListStays: a list that somebody has does not change with the fleet.
func TestListStays(t *testing.T) {
	f := New()
	f.Fill([]api.Machine{{Name: "db1", Users: []string{"kim"}}, {Name: "web1", Users: []string{"kim"}}, {Name: "web2"}})
	machines, users := f.Machines(&Selection{State: "used"}), f.Users(&Selection{State: "several"})
	_, on := f.User("kim", 9)
	seen := func() string {
		var b strings.Builder
		for _, m := range machines.Rows(0, 9) {
			fmt.Fprintf(&b, "%s %q, ", m.Name, m.Users)
		}
		for _, u := range users.Rows(0, 9) {
			fmt.Fprintf(&b, "%s %d, ", u.Name, u.Machines)
		}
		return b.String() + strings.Join(on, ", ")
	}
	before := seen()
	f.Remove("db1")
	f.Set(api.Machine{Name: "web1"})
	f.Set(api.Machine{Name: "a", Users: []string{"kim"}})
	if after := seen(); after != before {
		t.Errorf("it was %s, and is %s", before, after)
	}
}

// TestManyLists: lists of many selections do not pile up, and are right.
func TestManyLists(t *testing.T) {
	f := New()
	for i := range 200 {
		f.Set(api.Machine{Name: fmt.Sprintf("web%03d", i)})
	}
	for i := range 200 {
		filter, _ := ParseFilter(fmt.Sprintf("web%03d", i))
		if l := f.Machines(&Selection{Filter: filter}); l.Len != 1 || l.Rows(0, 9)[0].Name != fmt.Sprintf("web%03d", i) {
			t.Fatalf("%q selects %d machines", filter.Text, l.Len)
		}
	}
	if n := len(f.lists.machines); n > maxLists {
		t.Errorf("%d lists are kept, want at most %d", n, maxLists)
	}
}

// TestSlowFilter: a filter of many words over many machines and users holds up no change, and
// so nobody else.
func TestSlowFilter(t *testing.T) {
	f := New()
	var all []api.Machine
	for i := range 20_000 {
		all = append(all, api.Machine{Name: fmt.Sprintf("ws-%05d.example.com", i), Users: []string{fmt.Sprintf("anna.adler%d", i), fmt.Sprintf("kim%d", i)}})
	}
	f.Fill(all)
	var words strings.Builder
	for c := rune(0xc0); words.Len() < maxFilter-5; c++ {
		fmt.Fprintf(&words, "-%c ", c)
	}
	filter, err := ParseFilter(words.String())
	if err != nil {
		t.Fatal(err)
	}
	for of, list := range map[string]func(){
		"machines": func() { f.Machines(&Selection{Filter: filter}) },
		"users":    func() { f.Users(&Selection{Filter: filter}) },
	} {
		start, done := time.Now(), make(chan time.Duration)
		go func() {
			list()
			done <- time.Since(start)
		}()
		var longest, took time.Duration
		for took == 0 {
			begin := time.Now()
			f.Touch()
			longest = max(longest, time.Since(begin))
			select {
			case took = <-done:
			case <-time.After(100 * time.Microsecond):
			}
		}
		if t.Logf("a list of %s took %v, and a change at most %v", of, took, longest); longest > took/2 {
			t.Errorf("a change waits for a list of %s", of)
		}
	}
}

// TestConcurrent: readers see a fleet of one revision while others write. The race detector
// sees the rest.
func TestConcurrent(t *testing.T) {
	f := New()
	name := func(i int) string { return fmt.Sprintf("web%d.g%d", i, i%5) }
	var all []api.Machine
	for i := range 300 {
		all = append(all, api.Machine{Name: name(i), Users: []string{fmt.Sprint("u", i%40)}})
	}
	f.Fill(all)
	end := time.Now().Add(time.Duration(kit.Length(200, 1000)) * time.Millisecond)
	var wait sync.WaitGroup
	for w := range 2 {
		wait.Go(func() {
			for i := w; time.Now().Before(end); i += 7 {
				switch i % 4 {
				case 0:
					f.Remove(name(i % 300))
				case 1:
					f.Set(api.Machine{Name: name(i % 300)})
				case 2:
					f.Change(api.Machine{Name: name(i % 300), Users: []string{"kim"}, Silent: i%2 == 0}, []string{"kim"}, nil, noon)
				case 3:
					f.Fill(all[:i%50])
				}
			}
		})
	}
	filter, _ := ParseFilter("web1 -kim")
	for r := range 4 {
		wait.Go(func() {
			var last uint64
			for time.Now().Before(end) {
				rev, changed := f.Rev()
				if rev < last {
					t.Errorf("revision %d after %d", rev, last)
				}
				last = rev
				switch r {
				case 0:
					l := f.Layout()
					sum := 0
					for i := range l.Groups {
						sum += l.Groups[i].Machines
						l.Groups[i].Changed(rev, func(int) {})
					}
					if sum > 300 {
						t.Errorf("%d machines in the map", sum)
					}
				case 1:
					l := f.Machines(&Selection{})
					rows := l.Rows(0, l.Len)
					if !slices.IsSortedFunc(rows, func(a, b *Machine) int { return strings.Compare(a.Name, b.Name) }) {
						t.Error("machines are not in order")
					}
					f.Users(&Selection{Sort: "name"}).Rows(0, 50)
				case 2:
					l := f.Machines(&Selection{Filter: filter, Sort: "users"})
					for _, m := range l.Rows(0, l.Len) {
						if slices.Contains(m.Users, "kim") {
							t.Errorf("%+v", m)
						}
					}
					f.Users(&Selection{State: "several"}).Rows(0, 50)
				case 3:
					if s := f.Totals(); s.Used > s.Machines || s.Several > s.Users {
						t.Errorf("%+v", s)
					}
					f.News(9)
					f.User("kim", 9)
					f.Machine(name(1))
					select {
					case <-changed:
					case <-time.After(time.Millisecond):
					}
				}
			}
		})
	}
	wait.Wait()
}

// TestHear: when machines were heard from last may be told beside their changes. It is a revision,
// as lists may have another order, but none of the machines; what is older or unknown is nothing.
func TestHear(t *testing.T) {
	f := New()
	second := func(n int) time.Time { return time.Unix(int64(n), 0) }
	f.Fill([]api.Machine{{Name: "a", Heard: second(20), Users: []string{"kim"}}, {Name: "b", Heard: second(10)}})
	s := &Selection{Sort: "heard"}
	before, _ := f.Rev()
	f.Hear([]api.Machine{{Name: "a", Heard: second(15)}, {Name: "b", Heard: second(10)}, {Name: "c", Heard: second(30)}})
	if rev, _ := f.Rev(); rev != before || !f.Machine("a").Heard.Equal(second(20)) || f.Machine("c") != nil {
		t.Errorf("revision %d after %d, %+v", rev, before, f.Machine("a"))
	}
	f.Hear([]api.Machine{{Name: "b", Heard: second(30)}})
	b := f.Machine("b")
	if rev, _ := f.Rev(); rev != before+1 || !b.Heard.Equal(second(30)) || b.Rev != before || f.Totals().Rev != before {
		t.Errorf("revision %d after %d, %+v", rev, before, b)
	}
	list := fresh(f, func() *List[*Machine] { return f.Machines(s) }, func(l *List[*Machine]) uint64 { return l.Rev })
	if rows := list.Rows(0, 2); rows[0].Name != "b" || len(rows[1].Users) != 1 || f.Machines(&Selection{}).Rows(1, 1)[0] != b {
		t.Errorf("rows: %+v", rows)
	}
}
