package web

import (
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

// fleetPage is the data of the page of the whole fleet.
type fleetPage struct {
	Empty   bool
	Totals  totals
	Map     *fleetMap
	News    []news
	Several several
	Longest []session
}

// totals are the five numbers.
type totals struct {
	fleet.Totals
	// Change is how many users more are on than an hour ago.
	Change        int
	ChangeKnown   bool
	Sessions      int
	SessionsKnown bool
	// SilentKnown is false in the past.
	SilentKnown                                           bool
	UsersURL, UsedURL, MachinesURL, SeveralURL, SilentURL string
	// SessionsURL is the list of where most are.
	SessionsURL string
}

// news is a moment, and who came and left then.
type news struct {
	When time.Time
	fleet.News
	MachineURL, UserURL string
	// Host is the machine without its domain.
	Host, Domain string
}

// several are the persons on most machines.
type several struct {
	Rows []userRow
	All  int
	URL  string
}

const (
	shownNews    = 14
	shownSeveral = 6
	shownLongest = 6
)

// buildFleet makes the page of the whole fleet.
func buildFleet(p *Page, r *request) (*content, error) {
	if err := p.open(r); err != nil {
		return nil, err
	}
	c := &content{Title: "Fleet", Template: "fleet", Command: "rollcall report" + r.commandAt()}
	f := &fleetPage{Totals: p.totals(r)}
	if f.Empty = f.Totals.Machines == 0 && !r.past(); f.Empty {
		c.Data = f
		return c, nil
	}
	f.Map, f.News, f.Several = p.fleetMap(r), p.news(r), p.several(r)
	if !r.past() {
		f.Longest = p.longest.read(r.ctx, p, &r.location)
	}
	c.Data = f
	return c, nil
}

// commandAt is the flag of a command for the moment.
func (r *request) commandAt() string {
	if !r.past() {
		return ""
	}
	return " --at " + atText(r.at)
}

// totals returns the five numbers.
func (p *Page) totals(r *request) totals {
	t := totals{Totals: r.fleet.Totals(), SilentKnown: !r.past()}
	t.UsersURL, t.MachinesURL = r.to("/users", "").URL(), r.to("/machines", "").URL()
	to := func(page, state string) string {
		l := r.to(page, "")
		l.state = state
		return l.URL()
	}
	t.UsedURL, t.SilentURL, t.SeveralURL = to("/machines", "used"), to("/machines", "silent"), to("/users", "several")
	used := r.to("/machines", "")
	used.state, used.sort = "used", "users"
	t.SessionsURL = used.URL()
	at := r.end(r.now)
	if s := p.status.Load(); s != nil && !r.past() {
		t.Sessions, t.SessionsKnown = s.Sessions, true
	}
	from, end := r.window(r.now)
	counts := p.curves.read(r.ctx, p, from, end)
	if before, ok := usersAt(counts, at.Add(-time.Hour)); ok {
		t.Change, t.ChangeKnown = t.Users-before, true
	}
	if r.past() {
		t.Sessions, t.SessionsKnown = p.sessionsAt(r)
	}
	return t
}

// Less is how many users less are on than an hour ago.
func (t totals) Less() int { return -t.Change }

// sessionsAt returns how many sessions were open at a past moment. Counts are those of whole
// seconds, and a moment is mostly the end of one: if that second changed something, the
// sessions are counted, if they are not too many.
func (p *Page) sessionsAt(r *request) (int, bool) {
	second := r.at.Truncate(time.Second)
	a, err := one[api.CountsAnswer](r.ctx, p, "counts", api.CountsRequest{
		From: second.Format(time.RFC3339), To: second.Add(time.Second).Format(time.RFC3339), Step: "1s",
	})
	if err != nil || len(a.Counts) == 0 {
		return 0, false
	}
	if before, after := a.Counts[0].Sessions, a.Counts[len(a.Counts)-1].Sessions; before == after && len(a.Counts) == 2 {
		return before, true
	}
	n := 0
	for a, err := range pages[api.SessionsAnswer](r.ctx, p, "sessions", api.SessionsRequest{Moment: r.moment()}) {
		if err != nil || n > maxStays {
			return 0, false
		}
		for i := range a.Machines {
			n += len(a.Machines[i].Sessions)
		}
	}
	return n, true
}

// news returns what happened last.
func (p *Page) news(r *request) (all []news) {
	for _, n := range r.fleet.News(shownNews) {
		one := news{
			When: n.When, News: n,
			MachineURL: r.to("/machines", n.Machine).URL(), UserURL: r.to("/users", n.User).URL(),
			Domain: fleet.GroupOf(n.Machine), Host: host(n.Machine),
		}
		all = append(all, one)
	}
	return all
}

// several returns the persons on most machines, without service accounts.
func (p *Page) several(r *request) several {
	list := r.fleet.Users(&fleet.Selection{State: "several", Last: p.isService})
	r.asOf(list.Rev)
	l := r.to("/users", "")
	l.state = "several"
	s := several{URL: l.URL()}
	var people []*fleet.User
	for from := 0; from < list.Len && len(people) < shownSeveral; from += pageRows {
		for _, u := range list.Rows(from, pageRows) {
			if !p.isService(u.Name) && len(people) < shownSeveral {
				people = append(people, u)
			}
		}
	}
	for _, u := range people {
		_, on := r.fleet.User(u.Name, chips)
		row := userRow{Name: u.Name, URL: r.to("/users", u.Name).URL(), Machines: u.Machines, Red: u.Machines >= p.Several, More: u.Machines - len(on)}
		for _, machine := range on {
			row.Where = append(row.Where, placeOf(&r.location, r.fleet, machine))
		}
		s.Rows = append(s.Rows, row)
	}
	s.All = list.Len
	return s
}
