package web_test

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
	"golang.org/x/net/html/atom"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// anything folds random events of two days: sessions of all kinds, boots, and lists of who is
// on. Some arrive late, some are lost. It returns the dates of the events.
func (w *world) anything(rng *rand.Rand) (dates []time.Time) {
	machines := []string{"web1.example.com", "web2.example.com", "db1", "a b/c", `<i>"x'&y`, "日本語", "..", "*"}
	users := []string{"anna", "kim", "ola", `"><script>`, "-rf", "σοφία", "svc-backup"}
	pick := func(from []string) string { return from[rng.IntN(len(from))] }
	detail := func(from ...string) string { return pick(append(from, "", "")) }
	session := func() roster.Session {
		return roster.Session{
			User: pick(users), ID: detail("1", "2"), Remote: detail("10.0.0.7", "10.0.0.8", "<b>"), Terminal: detail("pts/0"), Service: detail("sshd"),
		}
	}
	var messages []roster.Message
	receipt := w.now().Add(-48 * time.Hour)
	total := 20 + rng.IntN(120)
	for range total {
		receipt = receipt.Add(time.Duration(rng.Int64N(int64(96 * time.Hour / time.Duration(total)))))
		if receipt.After(w.now()) {
			break
		}
		date := receipt.Add(-time.Duration(rng.Int64N(int64(2 * time.Second))))
		switch rng.IntN(12) {
		case 0: // late
			date = date.Add(-time.Duration(rng.Int64N(int64(6 * time.Hour))))
		case 1: // a clock that is ahead
			date = date.Add(time.Duration(rng.Int64N(int64(5 * time.Minute))))
		case 2: // whole seconds, which tie
			date = date.Truncate(time.Minute)
		}
		e := roster.Event{Date: roster.TimeOf(date), Machine: pick(machines), Session: session()}
		switch rng.IntN(10) {
		case 0, 1, 2, 3, 4:
			e.Type = roster.Login
		case 5, 6:
			e.Type = roster.Logout
			if rng.IntN(2) == 0 {
				e.Session.ID = ""
			}
			e.Session = roster.Session{User: e.Session.User, ID: e.Session.ID}
		case 7:
			e.Type, e.Session = roster.Boot, roster.Session{}
		case 8:
			e.Type, e.Session = roster.Shutdown, roster.Session{}
		case 9:
			e.Type, e.Session = roster.Present, roster.Session{}
			ids := map[string]bool{}
			for range rng.IntN(3) {
				one := session()
				if key := one.ID + "\x00" + one.User; one.ID == "" && ids[key] || one.ID != "" && ids[one.ID] {
					continue
				} else {
					ids[key], ids[one.ID] = true, true
				}
				if rng.IntN(2) == 0 {
					one.Since = roster.TimeOf(date.Add(-time.Hour))
				}
				e.Sessions = append(e.Sessions, one)
			}
		}
		if rng.IntN(4) == 0 {
			e.Origin, e.Number = "agent-"+fmt.Sprint(len(e.Machine)), uint64(1+rng.IntN(2*total))
		}
		messages = append(messages, roster.Message{Receipt: roster.TimeOf(receipt), Event: e})
	}
	lost := rng.IntN(3 * len(messages))
	for i, m := range messages {
		w.foldMessages(m)
		if i == lost {
			w.lose(roster.Deleted)
		}
		dates = append(dates, m.Event.Date.Time())
	}
	return dates
}

// asked is what the tool prints of a moment.
type asked struct {
	t        testing.TB
	report   []api.Machine
	sessions map[string][]api.Session // by machine
	stays    []api.PastStay
	users    map[string][]string // where each user is
}

// decodeAll reads all JSON objects of a text.
func decodeAll[A any](t testing.TB, text string) (all []A) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	for {
		var a A
		err := d.Decode(&a)
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		all = append(all, a)
	}
}

// json runs a command of the tool with JSON as its output.
func (w *world) json(args ...string) string {
	w.t.Helper()
	out, err, code := w.tool(append(args, "-o", "json", "-u")...)
	if code != 0 {
		w.t.Fatalf("%q: exit code %d, %s", args, code, err)
	}
	return out
}

// ask asks the tool about a moment; "": now.
func (w *world) ask(at string) *asked {
	w.t.Helper()
	a := &asked{t: w.t, sessions: map[string][]api.Session{}, users: map[string][]string{}}
	to := w.now()
	var flags []string
	if at != "" {
		to, _ = time.Parse(time.RFC3339, at)
		to = to.Add(time.Second - 1)
		flags = []string{"--at", at}
	}
	// The history first: with it, the service knows since when who is on is on.
	for _, page := range decodeAll[api.HistoryAnswer](w.t, w.json("history", "--from", to.Add(-24*time.Hour).Format(time.RFC3339Nano), "--to", to.Format(time.RFC3339Nano))) {
		a.stays = append(a.stays, page.Sessions...)
	}
	for _, page := range decodeAll[api.Report](w.t, w.json(append([]string{"report"}, flags...)...)) {
		a.report = append(a.report, page.Machines...)
	}
	for _, page := range decodeAll[api.SessionsAnswer](w.t, w.json(append([]string{"who"}, flags...)...)) {
		for _, m := range page.Machines {
			a.sessions[m.Name] = append(a.sessions[m.Name], m.Sessions...)
		}
	}
	for _, page := range decodeAll[api.SessionsAnswer](w.t, w.json(append([]string{"where", "*"}, flags...)...)) {
		for _, m := range page.Machines {
			for _, s := range m.Sessions {
				if !slices.Contains(a.users[s.User], m.Name) {
					a.users[s.User] = append(a.users[s.User], m.Name)
				}
			}
		}
	}
	return a
}

// page is a page of the web, taken apart.
type page struct {
	*dom
	t   testing.TB
	url string
}

func (s *site) open(url string) *page {
	s.t.Helper()
	return &page{parse(s.t, s.get(url)), s.t, url}
}

// said returns the text of an element.
func said(n *html.Node) string {
	if n == nil {
		return ""
	}
	var b strings.Builder
	for d := range n.Descendants() {
		if d.Type == html.TextNode {
			b.WriteString(d.Data)
		}
	}
	return strings.TrimSpace(b.String())
}

// tableRows returns the rows of a table by its id, as the texts of their cells, with times
// as in HTML.
func (p *page) tableRows(id string) (rows [][]string) {
	table := p.by("id", id)
	if table == nil || table.DataAtom != atom.Table {
		return nil
	}
	for _, tr := range all(table, func(n *html.Node) bool { return n.DataAtom == atom.Tr && n.Parent.DataAtom == atom.Tbody }) {
		var cells []string
		for cell := range tr.ChildNodes() {
			text := said(cell)
			if times := all(cell, func(n *html.Node) bool { return n.DataAtom == atom.Time }); len(times) > 0 {
				text, _ = attr(times[0], "datetime")
			}
			cells = append(cells, text)
		}
		if key, ok := attr(tr, "data-key"); ok {
			cells[0] = key
		}
		rows = append(rows, cells)
	}
	return rows
}

// second is a time as in HTML.
func second(t time.Time) string {
	if t.IsZero() {
		return "–"
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

func sortedRows(rows [][]string) [][]string {
	slices.SortFunc(rows, slices.Compare)
	return rows
}

func wantRows(t testing.TB, what string, got, want [][]string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Fatalf("%s:\n%q\nbut the command says\n%q", what, got, want)
	}
}

// chipsOf returns the names that a cell of a list shows, and how many more it says there are.
func chipsOf(cell *html.Node) (names []string, more string) {
	for _, a := range all(cell, func(n *html.Node) bool { return n.DataAtom == atom.A }) {
		if class, _ := attr(a, "class"); class == "more" {
			more = said(a)
		} else {
			names = append(names, said(a))
		}
	}
	return names, more
}

// wantChips: a cell names three of the names, or all if they are fewer.
func (p *page) wantChips(row *html.Node, names []string) {
	p.t.Helper()
	key, _ := attr(row, "data-key")
	cell := all(row, func(n *html.Node) bool { class, _ := attr(n, "class"); return strings.HasPrefix(class, "who") })[0]
	got, more := chipsOf(cell)
	for _, name := range got {
		if !slices.Contains(names, name) {
			p.t.Fatalf("%s: %q is in the row of %q, want %q", p.url, name, key, names)
		}
	}
	want := ""
	if n := len(names) - 3; n > 0 {
		want = fmt.Sprint("+", n)
	}
	if len(got) != min(3, len(names)) || more != want || len(slices.Compact(slices.Sorted(slices.Values(got)))) != len(got) {
		p.t.Fatalf("%s: the row of %q has %q %s, want %q", p.url, key, got, more, names)
	}
}

func (p *page) rows() []*html.Node { return slices.Collect(p.tbody().ChildNodes()) }

// at returns the URL of a page at a moment.
func pageAt(page, at string) string {
	if at == "" {
		return page
	}
	return page + "?at=" + url.QueryEscape(at)
}

func pathOf(page, name string) string {
	return page + "/" + url.PathEscape(rollcallv1.EncodeMachine(name))
}

// wantMachines compares the page's list of machines, and its CSV, with the report.
func (a *asked) wantMachines(s *site, at string) {
	a.t.Helper()
	p := s.open(pageAt("/machines", at))
	var names []string
	for i, row := range p.rows() {
		key, _ := attr(row, "data-key")
		names = append(names, key)
		if i >= len(a.report) || a.report[i].Name != key {
			break
		}
		m := a.report[i]
		p.wantChips(row, m.Users)
		users := fmt.Sprint(len(m.Users))
		if m.Silent {
			users = "–"
		}
		n := all(row, func(n *html.Node) bool { class, _ := attr(n, "class"); return class == "n" })[0]
		if said(n) != users {
			a.t.Fatalf("%s: %s users on %q, want %s", p.url, said(n), key, users)
		}
		if is := strings.Contains(said(row), "incomplete"); at == "" && is != (m.Incomplete || m.Missing > 0) {
			a.t.Fatalf("%s: %q is incomplete: %v, want %+v", p.url, key, is, m)
		}
		if at == "" {
			cells := p.tableRows("list")[i]
			if cells[4] != second(m.Changed) || cells[5] != second(m.Heard) {
				a.t.Fatalf("%s: %q changed %s, was heard %s; want %+v", p.url, key, cells[4], cells[5], m)
			}
		}
	}
	var want []string
	var table [][]string
	for _, m := range a.report {
		want = append(want, m.Name)
		silent := map[bool]string{true: "yes", false: "no"}[m.Silent]
		if at != "" {
			silent = ""
		}
		for _, user := range append(m.Users, map[bool][]string{true: {""}}[len(m.Users) == 0]...) {
			table = append(table, []string{m.Name, user, silent, noDash(second(m.Heard)), noDash(second(m.Changed))})
		}
	}
	if !slices.Equal(names, want) {
		a.t.Fatalf("%s: %q, want %q", p.url, names, want)
	}
	wantRows(a.t, "machines.csv", s.table(pageAt("/machines.csv", at)), harmless(table))
}

func noDash(text string) string { return strings.TrimPrefix(text, "–") }

// harmless marks what a spreadsheet would take for a formula.
func harmless(rows [][]string) [][]string {
	for _, row := range rows {
		for i, cell := range row {
			if strings.HasPrefix(cell, "=") || strings.HasPrefix(cell, "-") || strings.HasPrefix(cell, "+") || strings.HasPrefix(cell, "@") {
				row[i] = "'" + cell
			}
		}
	}
	return rows
}

// table returns the rows of a table as CSV, without its head.
func (s *site) table(url string) [][]string {
	s.t.Helper()
	rows, err := csv.NewReader(strings.NewReader(s.get(url))).ReadAll()
	if err != nil || len(rows) == 0 {
		s.t.Fatalf("%s: %v, %q", url, err, rows)
	}
	return rows[1:]
}

// wantUsers compares the page's list of users, and its CSV, with the sessions.
func (a *asked) wantUsers(s *site, at string) {
	a.t.Helper()
	p := s.open(pageAt("/users", at))
	want := slices.SortedStableFunc(slices.Values(slices.Sorted(maps.Keys(a.users))), func(x, y string) int {
		if x == "svc-backup" || y == "svc-backup" { // the one that is a service account
			return map[bool]int{true: 1, false: -1}[x == "svc-backup"]
		}
		return len(a.users[y]) - len(a.users[x])
	})
	var names []string
	for _, row := range p.rows() {
		key, _ := attr(row, "data-key")
		names = append(names, key)
		p.wantChips(row, a.users[key])
		n := all(row, func(n *html.Node) bool {
			class, _ := attr(n, "class")
			return strings.HasPrefix(class, "n ") || class == "n"
		})[0]
		if said(n) != fmt.Sprint(len(a.users[key])) {
			a.t.Fatalf("%s: %q is on %s machines, want %q", p.url, key, said(n), a.users[key])
		}
		class, _ := attr(n, "class")
		if red := strings.Contains(class, "red"); red != (len(a.users[key]) >= 5 && key != "svc-backup") {
			a.t.Fatalf("%s: %q on %d machines is red: %v", p.url, key, len(a.users[key]), red)
		}
	}
	if !slices.Equal(names, want) {
		a.t.Fatalf("%s: %q, want %q", p.url, names, want)
	}
	var table [][]string
	for _, user := range want {
		for _, machine := range a.users[user] {
			table = append(table, []string{user, machine})
		}
	}
	wantRows(a.t, "users.csv", s.table(pageAt("/users.csv", at)), harmless(table))
}

// wantRemote compares the machines and users with sessions from somewhere.
func (a *asked) wantRemote(s *site, at string) {
	a.t.Helper()
	var machines, users []string
	for _, m := range a.report {
		for _, one := range a.sessions[m.Name] {
			if strings.Contains(one.Remote, "0.0.7") {
				machines, users = append(machines, m.Name), append(users, one.User)
			}
		}
	}
	slices.Sort(users)
	for page, want := range map[string][]string{"/machines": slices.Compact(machines), "/users": slices.Compact(users)} {
		q := url.Values{"q": {"remote:0.0.7"}, "sort": {"name"}}
		if at != "" {
			q.Set("at", at)
		}
		var got []string
		for _, row := range s.open(page + "?" + q.Encode()).rows() {
			key, _ := attr(row, "data-key")
			got = append(got, key)
		}
		if !slices.Equal(got, want) {
			a.t.Fatalf("%s from 0.0.7 at %s: %q, want %q", page, at, got, want)
		}
	}
}

// wantTotals compares the numbers of the page of the fleet.
func (a *asked) wantTotals(s *site, at string) {
	a.t.Helper()
	p := s.open(pageAt("/", at))
	used, silent, sessions, several := 0, 0, 0, 0
	for _, m := range a.report {
		if len(m.Users) > 0 {
			used++
		}
		if m.Silent {
			silent++
		}
		sessions += len(a.sessions[m.Name])
	}
	for _, on := range a.users {
		if len(on) > 1 {
			several++
		}
	}
	want := map[string]string{"users": fmt.Sprint(len(a.users)), "machines": fmt.Sprint(used), "several": fmt.Sprint(several), "silent": fmt.Sprint(silent), "sessions": fmt.Sprint(sessions)}
	if at != "" {
		want["silent"] = "–"
	}
	for of, number := range want {
		if got := said(p.by("data-total", of)); got != number {
			a.t.Fatalf("%s: %s %s, want %s", p.url, got, of, number)
		}
	}
}

// wantOne compares the page of one machine or user: who is on, and the history.
func (a *asked) wantOne(s *site, page, name, at string) {
	a.t.Helper()
	users := page == "/users"
	var on [][]string
	for machine, sessions := range a.sessions {
		for _, one := range sessions {
			switch {
			case users && one.User == name:
				on = append(on, []string{machine, second(one.Since), one.Remote, one.Terminal, one.Service, one.ID})
			case !users && machine == name:
				on = append(on, []string{one.User, second(one.Since), one.Remote, one.Terminal, one.Service, one.ID})
			}
		}
	}
	p := s.open(pageAt(pathOf(page, name), at))
	var got [][]string
	for _, cells := range p.tableRows("sessions") {
		got = append(got, slices.Delete(cells, 2, 3)) // how long
	}
	wantRows(a.t, p.url+", on", sortedRows(got), sortedRows(on))

	to := s.world.now()
	if at != "" {
		to, _ = time.Parse(time.RFC3339, at)
		to = to.Add(time.Second - 1)
	}
	var shown, table [][]string
	for _, one := range a.stays {
		if users && one.User != name || !users && one.Machine != name {
			continue
		}
		end, how := second(one.Ended), one.How
		if one.Ended.IsZero() || one.Ended.After(to) {
			end, how = map[bool]string{true: "open", false: "open then"}[at == ""], ""
		}
		other := one.User
		if users {
			other = one.Machine
		}
		if other == "" {
			other = "–"
		}
		shown = append(shown, []string{other, second(one.Since), end, how, one.Remote, one.Terminal, one.Service})
		table = append(table, []string{one.Machine, one.User, noDash(second(one.Since)), noDash(second(one.Ended)), one.How, one.Remote, one.Terminal, one.Service, one.ID})
	}
	got = nil
	for _, cells := range p.tableRows("history") {
		got = append(got, slices.Delete(cells, 3, 4)) // how long
	}
	wantRows(a.t, p.url+", history", got, shown[:min(50, len(shown))])
	wantRows(a.t, p.url+", history.csv", s.table(pageAt(pathOf(page, name)+"/history.csv", at)), harmless(table))
	for i := range on {
		if users {
			on[i] = []string{on[i][0], name, on[i][1], on[i][2], on[i][3], on[i][4], on[i][5]}
		} else {
			on[i] = []string{name, on[i][0], on[i][1], on[i][2], on[i][3], on[i][4], on[i][5]}
		}
	}
	wantRows(a.t, p.url+", sessions.csv", sortedRows(s.table(pageAt(pathOf(page, name)+"/sessions.csv", at))), sortedRows(harmless(on)))

	// The command that the page names says the same.
	line := said(p.by("id", "command"))
	verb := map[bool]string{true: "rollcall where", false: "rollcall who"}[users]
	rest, ok := strings.CutPrefix(line, verb)
	if !ok {
		a.t.Fatalf("%s names the command %q", p.url, line)
	}
	out, stderr, code := s.world.shell(verb + " -o jsonl -u" + rest)
	if code != 0 {
		a.t.Fatalf("%s: exit code %d, %s", line, code, stderr)
	}
	type row struct {
		User, Machine, Remote, Terminal, Service, Session string
		Since                                             time.Time
	}
	var told [][]string
	for _, r := range decodeAll[row](a.t, out) {
		told = append(told, []string{r.Machine, r.User, second(r.Since), r.Remote, r.Terminal, r.Service, r.Session})
	}
	wantRows(a.t, line, sortedRows(harmless(told)), sortedRows(on))
}

// TestSameAsCommands: what the page shows equals what the command line says, of any fleet,
// now and at any past moment.
func TestSameAsCommands(t *testing.T) {
	server := kit.StartServer(t)
	for seed := range kit.Length(2, 4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(seed), 2))
			w := newWorld(t, server)
			w.clock.Store(start.Add(time.Second - 1).UnixNano())
			dates := w.anything(rng)
			s := w.open()
			// One moment in the second of an event, and one anywhere.
			moments := []string{"", second(dates[rng.IntN(len(dates))]), second(w.now().Add(-time.Duration(rng.Int64N(int64(50 * time.Hour)))))}
			moments = slices.DeleteFunc(moments, func(at string) bool { return at > second(w.now().Add(-time.Second)) })
			for _, at := range moments {
				a := w.ask(at)
				a.t = t
				a.wantMachines(s, at)
				a.wantUsers(s, at)
				a.wantTotals(s, at)
				a.wantRemote(s, at)
				for range min(2, len(a.report)) {
					a.wantOne(s, "/machines", a.report[rng.IntN(len(a.report))].Name, at)
				}
				names := slices.Sorted(maps.Keys(a.users))
				for range min(2, len(names)) {
					a.wantOne(s, "/users", names[rng.IntN(len(names))], at)
				}
			}
		})
	}
}
