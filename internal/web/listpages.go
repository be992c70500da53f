package web

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

// listPage is the data of the pages of machines and of users.
type listPage struct {
	*request
	Tabs    []tab
	Columns []column
	From    int
	Total   int
	Rows    any // []machineRow or []userRow
	Count   int
	// Before and After are the pages around this one; empty: none.
	Before, After string
	CSV           string
	// Clear is the page without a filter; empty: there is none.
	Clear string
}

// Bare says that the list has all there is.
func (l *listPage) Bare() bool { return l.filter == "" && l.state == "" && l.group == "" }

// selected returns what a page lists.
func (p *Page) selected(r *request) (fleet.Selection, error) {
	s := r.selection()
	s.Last = p.isService
	for _, text := range s.Filter.Remotes() {
		from, err := p.remotes.read(r.ctx, p, text, r.moment())
		if err != nil {
			return s, err
		}
		s.Filter.OnRemotes(text, from.machines, from.users)
	}
	return s, nil
}

// buildMachines makes the list of machines.
func buildMachines(p *Page, r *request) (*content, error) {
	list, err := p.machines(r)
	if err != nil {
		return nil, err
	}
	page := r.listPage(list.Len)
	page.Tabs = p.machineTabs(r)
	rows := p.machineRows(r.ctx, &r.location, r.now, list.Rows(page.From, pageRows))
	page.Rows, page.Count = rows, len(rows)
	page.Columns = []column{
		r.sortable("Machine", "name", "name", "ascending", "name"),
		{Text: "Who", Class: "who"},
		{Text: "Last 24 hours", Class: "day"},
		r.sortable("Users", "users", "name", "descending", "n"), r.sortable("Changed", "changed", "name", "descending", "ago"),
	}
	if r.past() {
		page.Columns[4] = column{Text: "Changed", Class: "ago"}
	} else {
		page.Columns = append(page.Columns, r.sortable("Heard", "heard", "name", "descending", "ago"))
	}
	return &content{Title: "Machines", Template: "machines", Data: page, Command: r.listCommand()}, nil
}

// listCommand returns the command that asks for a list. If the command line has no such filter,
// it is the one for all.
func (r *request) listCommand() string {
	if c := r.filteredCommand(); c != "" {
		return c
	}
	verb := "rollcall who"
	switch {
	case r.page == "/users" && r.state == "several" && !r.past():
		verb = "rollcall report --user-on-several"
	case r.page == "/users":
		verb = "rollcall where '*'"
	case r.state == "" && r.filter == "":
		verb = "rollcall report"
	}
	return verb + r.commandAt()
}

// filteredCommand returns the command with the same filter; empty: there is none. The command
// line selects sessions: what a filter says beside the name of the row may be true of different
// ones, so it can be one thing only.
func (r *request) filteredCommand() string {
	s := r.selection()
	parts, ok := s.Filter.Parts()
	own := map[string]string{"/machines": "machine", "/users": "user"}[r.page]
	others := len(parts)
	if _, is := parts[own]; is {
		others--
	}
	//guard:drop others "a command selects what the page does" TestFilteredCommands
	if !ok || others > 1 || s.Group != "" || s.State != "" && s.State != "used" {
		return ""
	}
	if r.page == "/users" && others == 0 {
		return command("rollcall where -m", r.commandAt(), parts["user"])
	}
	flags := ""
	for _, field := range []string{"user", "remote"} {
		if text, is := parts[field]; is && strings.HasPrefix(text, "-") {
			flags += " --" + field + "=" + shell(text)
		} else if is {
			flags += " --" + field + " " + shell(text)
		}
	}
	if text, is := parts["machine"]; is {
		return command("rollcall who -m", flags+r.commandAt(), text)
	}
	return "rollcall who -m" + flags + r.commandAt()
}

// machines returns the list of machines that a page shows.
func (p *Page) machines(r *request) (*fleet.List[*fleet.Machine], error) {
	if err := p.open(r); err != nil {
		return nil, err
	}
	s, err := p.selected(r)
	if err != nil {
		return nil, err
	}
	if strings.TrimPrefix(r.sort, "-") == "heard" && !r.past() && p.notLive() == "" {
		p.awaitHeard(r)
	}
	list := r.fleet.Machines(&s)
	r.asOf(list.Rev)
	return list, nil
}

// awaitHeard asks when all machines were heard from last, and waits a moment for the answer. If
// it comes later, the list is sorted again then.
func (p *Page) awaitHeard(r *request) {
	ctx, cancel := context.WithTimeout(r.ctx, p.detailTime)
	defer cancel()
	if err := p.heards.whole(ctx); err != nil {
		p.Log.Debug("when machines were heard from last is not known", "err", err)
	}
}

// machineTabs returns the choices of a state, with how many machines each has if nothing
// else selects.
func (p *Page) machineTabs(r *request) []tab {
	t := r.fleet.Totals()
	counted := r.filter == "" && r.group == ""
	tabs := []tab{
		{Text: "All", Count: t.Machines, Counted: counted},
		{Text: "In use", Count: t.Used, Counted: counted},
		{Text: "Nobody"},
		{Text: "Silent", Count: t.Silent, Counted: counted},
	}
	if r.past() {
		tabs = tabs[:3]
	}
	return r.tabs(tabs, machineStates)
}

func (r *request) tabs(tabs []tab, states []string) []tab {
	for i := range tabs {
		l := r.location
		l.state, l.from = states[i], 0
		tabs[i].URL, tabs[i].On = l.URL(), l.state == r.state
	}
	return tabs
}

// buildUsers makes the list of users.
func buildUsers(p *Page, r *request) (*content, error) {
	list, err := p.users(r)
	if err != nil {
		return nil, err
	}
	page := r.listPage(list.Len)
	page.Tabs = p.userTabs(r)
	rows := p.userRows(r.ctx, &r.location, r.fleet, list.Rows(page.From, pageRows))
	page.Rows, page.Count = rows, len(rows)
	page.Columns = []column{
		r.sortable("User", "name", "machines", "ascending", "name"),
		{Text: "Where", Class: "who"},
		{Text: "Last 24 hours", Class: "day"},
		r.sortable("Machines", "machines", "machines", "descending", "n"),
	}
	return &content{Title: "Users", Template: "users", Data: page, Command: r.listCommand()}, nil
}

func (p *Page) users(r *request) (*fleet.List[*fleet.User], error) {
	if err := p.open(r); err != nil {
		return nil, err
	}
	s, err := p.selected(r)
	if err != nil {
		return nil, err
	}
	list := r.fleet.Users(&s)
	r.asOf(list.Rev)
	return list, nil
}

func (p *Page) userTabs(r *request) []tab {
	t := r.fleet.Totals()
	counted := r.filter == ""
	return r.tabs([]tab{
		{Text: "All", Count: t.Users, Counted: counted}, {Text: "On several machines", Count: t.Several, Counted: counted},
	}, userStates)
}

// listPage returns a page of a list with so many rows.
func (r *request) listPage(total int) *listPage {
	page := &listPage{request: r, Total: total, From: min(r.from, max(0, total-1))}
	page.From = max(0, page.From)
	l := r.location
	page.CSV = location{page: l.page, at: l.at, filter: l.filter, state: l.state, group: l.group, sort: l.sort}.part(".csv")
	if l.filter != "" || l.group != "" || l.state != "" {
		page.Clear = r.to(l.page, "").URL()
	}
	if page.From > 0 {
		l.from = max(0, page.From-pageRows)
		page.Before = l.URL()
	}
	if page.From+pageRows < total {
		l.from = page.From + pageRows
		page.After = l.URL()
	}
	return page
}

// remotes are who and what has sessions from a remote, as asked for last.
type remotes struct {
	mu   sync.Mutex
	kept map[string]remote
}

type remote struct {
	machines, users []string
	read            time.Time
}

const (
	remoteAge  = 10 * time.Second
	maxRemotes = 64
)

// read returns the machines and the users with sessions whose remote contains a text.
func (c *remotes) read(ctx context.Context, p *Page, text string, at api.Moment) (remote, error) {
	key := text + "\x00" + at.At
	c.mu.Lock()
	k, ok := c.kept[key]
	c.mu.Unlock()
	if ok && time.Since(k.read) < remoteAge {
		return k, nil
	}
	k = remote{read: time.Now()}
	for a, err := range pages[api.SessionsAnswer](ctx, p, "sessions", api.SessionsRequest{Remote: text, Parts: true, Moment: at}) {
		if err != nil {
			return remote{}, err
		}
		for _, m := range a.Machines {
			k.machines = append(k.machines, m.Name)
			for i := range m.Sessions {
				k.users = append(k.users, m.Sessions[i].User)
			}
		}
	}
	c.keep(key, k)
	return k, nil
}

// keep keeps an answer for a while.
func (c *remotes) keep(key string, k remote) {
	c.forget()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxRemotes {
		c.kept = map[string]remote{}
	}
	c.kept[key] = k
}

// forget drops the answers that are old: each can have all machines and all users.
func (c *remotes) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	maps.DeleteFunc(c.kept, func(_ string, k remote) bool { return time.Since(k.read) >= remoteAge })
}

// longests are the sessions that have lasted longest, as asked for last.
type longests struct {
	mu    sync.Mutex
	kept  []api.Stay
	asked time.Time
}

const longestAge = 30 * time.Second

// read returns the sessions that have lasted longest. It asks for them again when they are
// old, or one of them is over.
func (c *longests) read(ctx context.Context, p *Page, l *location) []session {
	c.mu.Lock()
	defer c.mu.Unlock()
	over := slices.ContainsFunc(c.kept, p.over)
	if age := time.Since(c.asked); age > longestAge || over && age > onePause {
		ctx, cancel := context.WithTimeout(ctx, 2*p.detailTime)
		defer cancel()
		n := uint32(shownLongest)
		if a, err := one[api.LongestAnswer](ctx, p, "report", api.ReportRequest{Longest: &n}); err == nil {
			c.kept, c.asked = a.Sessions, time.Now()
		}
	}
	open := slices.DeleteFunc(slices.Clone(c.kept), p.over)
	return p.sessionRows(open, func(s *api.Stay) string { return l.to("/users", s.User).URL() })
}

// over reports whether a session that was open is over: nobody of that name is on there.
func (p *Page) over(s api.Stay) bool {
	m := p.fleet.Machine(s.Machine)
	//guard:false "no session that is over is among the longest" TestLongestOver
	return m != nil && !slices.Contains(m.Users, s.User)
}

// exact reports whether a session began when it says, and not earlier.
func exact(s *api.Session) bool { return s.SinceExact == nil || *s.SinceExact }

// sessionRows returns rows of sessions; url is where a row leads.
func (p *Page) sessionRows(stays []api.Stay, url func(*api.Stay) string) []session {
	rows, now := make([]session, len(stays)), p.now()
	for i := range stays {
		s := &stays[i]
		rows[i] = session{Stay: *s, URL: url(s), Now: now, Exact: exact(&s.Session)}
	}
	return rows
}
