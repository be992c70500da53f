package web

import (
	"cmp"
	"context"
	"slices"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

const (
	// pageRows is how many rows a page has.
	pageRows = 50
	// chips is how many names a row has.
	chips = 3
)

// chip is a name with a link.
type chip struct {
	Name, URL string
	Silent    bool // a machine whose users are the last known
}

// dayPaths is the line of a row; see [dayline.paths].
type dayPaths struct {
	Levels []string
	// Red says that the last level is that of a person on many machines at once.
	Red bool
	// Unheard is where the time begins about which nothing is known, in lineUnits; -1:
	// never.
	Unheard int
	Known   bool
}

// machineRow is a row of the list of machines.
type machineRow struct {
	Name, URL string
	Past      bool
	Silent    bool
	Lacking   bool // incomplete, or events are missing
	Users     int
	Who       []chip
	More      int
	Day       dayPaths
	Now       time.Time
	// Changed and Heard are zero if they are not known.
	Changed, Heard time.Time
}

// Level is the step of the hue for its users.
func (r machineRow) Level() int { return usersLevel(r.Users) }

// machineRows returns rows with their details.
func (p *Page) machineRows(ctx context.Context, l *location, now time.Time, machines []*fleet.Machine) []machineRow {
	wanted := make([]row, len(machines))
	for i, m := range machines {
		wanted[i] = row{m.Name, m.Rev, len(m.Users), m.Changed}
	}
	found := p.details.of(ctx, p, &location{page: "/machines", at: l.at}, wanted)
	var heard map[string]time.Time
	if !l.past() {
		heard = p.heards.of(ctx, p, machines)
	}
	rows := make([]machineRow, len(machines))
	for i, m := range machines {
		d := found[m.Name]
		r := machineRow{
			Name: m.Name, URL: l.to("/machines", m.Name).URL(), Past: l.past(), Now: now,
			Silent: m.Silent, Lacking: m.Incomplete || m.Missing > 0, Users: len(m.Users),
			Changed: m.Changed, Heard: heard[m.Name], Day: dayPaths{Unheard: -1},
		}
		who := d.byArrival(m.Users)
		for _, user := range who[:min(chips, len(who))] {
			r.Who = append(r.Who, chip{Name: user, URL: l.to("/users", user).URL()})
		}
		r.More = len(who) - len(r.Who)
		if d != nil && d.ok {
			r.Day.Known, r.Day.Levels = true, d.day.paths(4, usersLevel)
			if l.past() {
				r.Changed = d.day.newest()
			}
			if m.Silent {
				//guard:set r.Heard m.Heard "the hatch begins where a machine was heard from last" TestHeardAlone
				r.Day.Unheard = d.day.unheard(r.Heard)
			}
		}
		if l.past() {
			r.Now = l.at
		}
		rows[i] = r
	}
	return rows
}

// userRow is a row of the list of users.
type userRow struct {
	Name, URL string
	Machines  int
	Red       bool
	Service   bool
	Where     []chip
	More      int
	// LastKnown says that all machines that the user is on are silent.
	LastKnown bool
	Day       dayPaths
}

const (
	// looked is at how many machines of a user a row looks, for the order of arrival and
	// for silence, and maxSilent for how many of a view it asks when they were heard from.
	looked    = 200
	maxSilent = 600
)

// lastKnown returns those of some users who are on silent machines only, and when the last
// of these was heard from.
func (p *Page) lastKnown(ctx context.Context, f *fleet.Fleet, users []*fleet.User) map[string]time.Time {
	silent := map[string][]*fleet.Machine{}
	var ask []*fleet.Machine
	for _, u := range users {
		_, on := f.User(u.Name, looked)
		machines := f.Found(on)
		speaks := func(m *fleet.Machine) bool { return !m.Silent }
		//guard:drop speaks "a user is last known only where all machines are silent" TestSilentOfUsers
		if len(machines) == 0 || u.Machines > looked || slices.ContainsFunc(machines, speaks) {
			continue
		}
		silent[u.Name] = machines
		ask = append(ask, machines...)
	}
	heard := p.heards.of(ctx, p, ask[:min(len(ask), maxSilent)])
	last := map[string]time.Time{}
	for user, machines := range silent {
		for _, m := range machines {
			last[user] = latest(last[user], latest(m.Heard, heard[m.Name]))
		}
	}
	return last
}

// userRows returns rows with their details.
func (p *Page) userRows(ctx context.Context, l *location, f *fleet.Fleet, users []*fleet.User) []userRow {
	wanted := make([]row, len(users))
	for i, u := range users {
		wanted[i] = row{name: u.Name, rev: u.Rev, n: u.Machines}
	}
	found := p.details.of(ctx, p, &location{page: "/users", at: l.at}, wanted)
	lastKnown := p.lastKnown(ctx, f, users)
	rows := make([]userRow, len(users))
	for i, u := range users {
		_, on := f.User(u.Name, looked)
		d := found[u.Name]
		service := p.isService(u.Name)
		r := userRow{
			Name: u.Name, URL: l.to("/users", u.Name).URL(), Machines: u.Machines,
			Service: service, Red: !service && u.Machines >= p.Several, Day: dayPaths{Unheard: -1, Red: !service},
		}
		where := d.byArrival(on)
		for _, machine := range where[:min(chips, len(where))] {
			r.Where = append(r.Where, placeOf(l, f, machine))
		}
		r.More = u.Machines - len(r.Where)
		last, silent := lastKnown[u.Name]
		r.LastKnown = silent
		if d != nil && d.ok {
			r.Day.Known, r.Day.Levels = true, d.day.paths(3, p.machinesLevel)
			if silent {
				r.Day.Unheard = d.day.unheard(last)
			}
		}
		rows[i] = r
	}
	return rows
}

// placeOf returns the chip of a machine on which a user is.
func placeOf(l *location, f *fleet.Fleet, machine string) chip {
	m := f.Machine(machine)
	return chip{machine, l.to("/machines", machine).URL(), m != nil && m.Silent}
}

// machinesLevel is the level of so many machines at once: 1, 2 for several, 3 for as many
// as are marked.
func (p *Page) machinesLevel(n int) int {
	if n >= p.Several {
		return 3
	}
	return min(n, 2)
}

// session is a row of the table of who is on.
type session struct {
	api.Stay
	URL   string
	Exact bool
	Now   time.Time
}

// tab is a choice of which rows a list has.
type tab struct {
	Text, URL string
	Count     int
	Counted   bool
	On        bool
}

// column is the head of a column; URL sorts by it.
type column struct {
	Text, URL, Class string
	Order            string // "", "ascending" or "descending"
}

// sortable returns a column that sorts a list; standard is what the list is sorted by
// without the parameter sort, first is the order of the first sorting.
func (l location) sortable(text, by, standard, first, class string) column {
	c := column{Text: text, Class: class}
	now := cmp.Or(l.sort, standard)
	next := l
	next.from = 0
	switch now {
	case by:
		c.Order = first
		next.sort = "-" + by
	case "-" + by:
		c.Order = map[string]string{"ascending": "descending", "descending": "ascending"}[first]
		next.sort = by
	default:
		next.sort = by
	}
	if next.sort == standard {
		next.sort = ""
	}
	c.URL = next.URL()
	return c
}
