package fleet

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/api"
)

// Layout is the map of all machines: a tile for each, or for some neighbours, in groups.
type Layout struct {
	Rev uint64
	// Members is the revision at which a machine was added or removed last: layouts with
	// the same have the same tiles.
	Members uint64
	// Each is how many machines a tile stands for.
	Each   int
	Groups []Group
}

// Group is the machines of one domain.
type Group struct {
	// Name is the domain, or what the names begin with; empty: neither.
	Name string
	// Rest says that the group has the machines of groups that are too small.
	Rest                   bool
	Machines, Used, Silent int
	// Tiles has a character for each tile: '0' to '4', or, if a machine of it is silent,
	// 'a' to 'e', by how many users are on, or which share of the machines is in use:
	//
	//	users    0   1   2 to 4   5 to 14   15 or more
	//	share    0   up to a quarter, a half, three quarters, all
	Tiles []byte
	revs  []uint64 // of the last change of each tile
	names []string // of all machines
}

const (
	// maxGroups bounds the groups, maxTiles the tiles: beyond it, a tile stands for
	// several machines. If there are more than fewGroups, one machine is no group.
	maxGroups = 60
	fewGroups = 12
	maxTiles  = 20_000
)

// GroupOf returns the name of a machine's group: its domain, or, without a dot, the
// letters before the first digit. It is empty if the name has neither.
func GroupOf(name string) string {
	if _, domain, ok := strings.Cut(name, "."); ok {
		return domain
	}
	if i := strings.IndexAny(name, "0123456789"); i > 0 {
		return strings.TrimRight(name[:i], "-_")
	}
	return ""
}

// layouts is the layout that views have in common. It is made again only if that is long
// enough ago for making it to take a tenth of the time.
type layouts struct {
	mu     sync.Mutex
	last   *Layout
	places []int // by the machine's place in the order of names: its group
	due    time.Time
}

// Layout returns the layout of a recent revision.
func (f *Fleet) Layout() *Layout {
	l := &f.layout
	l.mu.Lock()
	defer l.mu.Unlock()
	rev, _ := f.Rev()
	if l.last != nil && (l.last.Rev == rev || time.Now().Before(l.due)) {
		return l.last
	}
	start := time.Now()
	f.mu.RLock()
	if l.last == nil || l.last.Members != f.members {
		l.last = f.groups(l)
	}
	next := f.paint(l)
	f.mu.RUnlock()
	l.last, l.due = next, time.Now().Add(10*time.Since(start))
	return next
}

// groups returns a layout without tiles, with the lock held.
func (f *Fleet) groups(l *layouts) *Layout {
	sizes := map[string]int{}
	f.machines.all(func(m *Machine) bool {
		sizes[GroupOf(m.Name)]++
		return true
	})
	names := make([]string, 0, len(sizes))
	for name := range sizes {
		names = append(names, name)
	}
	slices.SortFunc(names, func(a, b string) int { return cmp.Or(sizes[b]-sizes[a], strings.Compare(a, b)) })
	all := len(names)
	if all > fewGroups {
		names = slices.DeleteFunc(names, func(name string) bool { return sizes[name] == 1 })
	}
	names = names[:min(len(names), maxGroups-1)]
	rest := len(names) < all
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(strings.Compare(api.Fold(a), api.Fold(b)), strings.Compare(a, b))
	})
	next := &Layout{Members: f.members, Each: max(1, (f.machines.len+maxTiles-1)/maxTiles)}
	index := map[string]int{}
	for i, name := range names {
		next.Groups = append(next.Groups, Group{Name: name})
		index[name] = i
	}
	if rest {
		next.Groups = append(next.Groups, Group{Rest: true})
	}
	l.places = make([]int, 0, f.machines.len)
	f.machines.all(func(m *Machine) bool {
		i, ok := index[GroupOf(m.Name)]
		if !ok {
			i = len(next.Groups) - 1
		}
		l.places = append(l.places, i)
		g := &next.Groups[i]
		g.names = append(g.names, m.Name)
		return true
	})
	return next
}

// paint returns the last layout with the tiles of now, with the lock held.
func (f *Fleet) paint(l *layouts) *Layout {
	next := *l.last
	next.Rev = f.rev
	next.Groups = slices.Clone(next.Groups)
	tiles := make([][]tile, len(next.Groups))
	for i := range next.Groups {
		g := &next.Groups[i]
		g.Machines, g.Used, g.Silent = 0, 0, 0
		tiles[i] = make([]tile, (len(g.names)+next.Each-1)/next.Each)
	}
	place := 0
	f.machines.all(func(m *Machine) bool {
		i := l.places[place]
		place++
		g := &next.Groups[i]
		tiles[i][g.Machines/next.Each].add(m)
		g.Machines++
		if len(m.Users) > 0 {
			g.Used++
		}
		if m.Silent {
			g.Silent++
		}
		return true
	})
	for i := range next.Groups {
		g := &next.Groups[i]
		g.Tiles, g.revs = make([]byte, len(tiles[i])), make([]uint64, len(tiles[i]))
		for n, t := range tiles[i] {
			g.Tiles[n], g.revs[n] = t.state(next.Each), t.rev
		}
	}
	return &next
}

// tile is what a tile stands for.
type tile struct {
	machines, used, users int
	silent                bool
	rev                   uint64
}

func (t *tile) add(m *Machine) {
	t.machines++
	t.users += len(m.Users)
	if len(m.Users) > 0 {
		t.used++
	}
	t.silent = t.silent || m.Silent
	t.rev = max(t.rev, m.Rev)
}

// state returns the character of a tile; see [Group].
func (t *tile) state(each int) byte {
	var step byte
	switch {
	case each > 1:
		step = byte((4*t.used + t.machines - 1) / t.machines)
	case t.users >= 15:
		step = 4
	case t.users >= 5:
		step = 3
	case t.users >= 2:
		step = 2
	default:
		step = byte(t.users)
	}
	if t.silent {
		return 'a' + step
	}
	return '0' + step
}

// Changed calls yield with each tile that has changed after a revision.
func (g *Group) Changed(rev uint64, yield func(tile int)) {
	for i, changed := range g.revs {
		if changed > rev {
			yield(i)
		}
	}
}

// Names returns the machines that a tile stands for.
func (l *Layout) Names(group, tile int) []string {
	if group < 0 || group >= len(l.Groups) {
		return nil
	}
	names := l.Groups[group].names
	from := tile * l.Each
	if from < 0 || from >= len(names) {
		return nil
	}
	return names[from:min(len(names), from+l.Each)]
}
