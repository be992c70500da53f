package web

import (
	"context"
	"encoding/csv"
	"errors"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"rollcall/internal/api"
)

// csvWriter writes the rows of a table. The first is the head.
type csvWriter func(p *Page, r *request, row func(cells ...string) error) error

// csvTime is how long a table may take.
const csvTime = time.Minute

// csv returns the handler of a table as CSV: what the filter selects, all of it.
func (p *Page) csv(write csvWriter) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), csvTime)
		defer cancel()
		url := *req.URL
		file := ""
		for _, part := range []string{"/sessions.csv", "/history.csv", "/refused.csv", "/unheard.csv", ".csv"} {
			if rest, ok := strings.CutSuffix(url.EscapedPath(), part); ok {
				file = strings.TrimPrefix(part, "/")
				url.RawPath = rest
				url.Path = rest
				break
			}
		}
		page := *req
		page.URL = &url
		r, err := p.csvRequest(ctx, &page, url.RawPath)
		// The lists are those of the page's own roster. A page says in its banner that this is
		// what was known last.
		//guard:false "no table is downloaded of a roster that may be old" TestStaleCSV
		if why := p.notLive(); err == nil && why != "" && r.name == "" && !r.past() {
			err = errors.New(why)
		}
		if err != nil {
			http.Error(w, asSentence(err), statusOf(err))
			return
		}
		h := w.Header()
		h.Set("Content-Type", "text/csv; charset=utf-8")
		h.Set("Content-Disposition", `attachment; filename="`+fileName(r, file)+`"`)
		body := &begun{ResponseWriter: w}
		out := csv.NewWriter(body)
		control := http.NewResponseController(w)
		err = write(p, r, func(cells ...string) error {
			for i := range cells {
				cells[i] = harmless(cells[i])
			}
			_ = control.SetWriteDeadline(time.Now().Add(writeTime)) // else the server's own holds
			return out.Write(cells)
		})
		//guard:false "a table that cannot be had is an error, with its reason" TestBrokenCSV
		if err != nil && !body.begun {
			h.Del("Content-Disposition")
			http.Error(w, asSentence(err), statusOf(err))
			return
		}
		out.Flush()
		//guard:false "a table that breaks off does not look whole" TestBrokenCSV
		if err != nil {
			panic(http.ErrAbortHandler) // a table that is cut must not look whole
		}
	}
}

// begun remembers whether anything was written.
type begun struct {
	http.ResponseWriter
	begun bool
}

// Write implements [io.Writer].
func (b *begun) Write(data []byte) (int, error) {
	b.begun = true
	return b.ResponseWriter.Write(data)
}

// csvRequest reads the request of a table.
func (p *Page) csvRequest(ctx context.Context, req *http.Request, path string) (*request, error) {
	r := &request{ctx: ctx, now: p.now(), fleet: p.fleet, head: p.head()}
	var err error
	if r.location, err = locate(path, req.URL.RawQuery, r.now); err == nil && r.page == "/service" && r.past() {
		err = errServicePast
	}
	return r, err
}

// fileName returns the name of the file that a browser stores.
func fileName(r *request, kind string) string {
	name := strings.TrimPrefix(r.page, "/")
	if kind != ".csv" {
		name = strings.TrimSuffix(kind, ".csv")
	}
	return "rollcall-" + name + "-" + r.end(r.now).UTC().Format("20060102T150405Z") + ".csv"
}

// harmless returns a cell that no spreadsheet takes for a formula. Where a comma separates
// decimals, cells are separated by semicolons, and quotes in the middle of a cell do not count.
func harmless(cell string) string {
	var b strings.Builder
	begins := true
	for _, c := range cell {
		if begins && strings.ContainsRune("=+-@\t\r＝＋－＠", c) {
			b.WriteByte('\'')
		}
		b.WriteRune(c)
		//guard:drop "c == ';'" "no formula begins behind a semicolon" TestSeparators
		begins = c == ';' || begins && c == '"'
	}
	return b.String()
}

func csvTimeText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

func machinesCSV(p *Page, r *request, row func(...string) error) error {
	//guard:false "a table has when a machine was heard from last" TestHeard
	if !r.past() {
		if err := p.heards.whole(r.ctx); err != nil {
			return err
		}
	}
	list, err := p.machines(r)
	if err != nil {
		return err
	}
	if err := row("machine", "user", "silent", "heard", "changed"); err != nil {
		return err
	}
	for _, m := range list.Rows(0, math.MaxInt) { // at once: rows of all machines move meanwhile
		users, silent := m.Users, yes(m.Silent)
		if len(users) == 0 {
			users = []string{""}
		}
		heard := m.Heard
		if r.past() {
			silent = "" // not known
		} else if now := r.fleet.Machine(m.Name); now != nil {
			heard = latest(heard, now.Heard) // a list is not made again at once
		}
		for _, user := range users {
			if err := row(m.Name, user, silent, csvTimeText(heard), csvTimeText(m.Changed)); err != nil {
				return err
			}
		}
	}
	return nil
}

func usersCSV(p *Page, r *request, row func(...string) error) error {
	list, err := p.users(r)
	if err != nil {
		return err
	}
	if err := row("user", "machine"); err != nil {
		return err
	}
	for _, u := range list.Rows(0, math.MaxInt) {
		_, machines := r.fleet.User(u.Name, u.Machines)
		for _, machine := range machines {
			if err := row(u.Name, machine); err != nil {
				return err
			}
		}
	}
	return nil
}

func sessionsCSV(p *Page, r *request, row func(...string) error) error {
	if err := row("machine", "user", "since", "remote", "terminal", "service", "session"); err != nil {
		return err
	}
	add := func(machine string, s *api.Session) error {
		return row(machine, s.User, csvTimeText(s.Since), s.Remote, s.Terminal, s.Service, s.ID)
	}
	if r.page == "/machines" {
		for a, err := range pages[api.MachineAnswer](r.ctx, p, "machine", api.MachineRequest{Machine: r.name, Moment: r.moment()}) {
			if err != nil {
				return err
			}
			for i := range a.Sessions {
				if err := add(r.name, &a.Sessions[i]); err != nil {
					return err
				}
			}
		}
		return nil
	}
	for a, err := range pages[api.UserAnswer](r.ctx, p, "user", api.UserRequest{User: r.name, Moment: r.moment()}) {
		if err != nil {
			return err
		}
		for i := range a.Sessions {
			if err := add(a.Sessions[i].Machine, &a.Sessions[i].Session); err != nil {
				return err
			}
		}
	}
	return nil
}

func historyCSV(p *Page, r *request, row func(...string) error) error {
	if err := row("machine", "user", "since", "end", "how", "remote", "terminal", "service", "session"); err != nil {
		return err
	}
	to := r.end(r.now)
	request := api.HistoryRequest{From: to.Add(-r.shownSpan()).UTC().Format(time.RFC3339Nano), To: to.UTC().Format(time.RFC3339Nano)}
	if r.page == "/machines" {
		request.Machine = r.name
	} else {
		request.User = r.name
	}
	for a, err := range pages[api.HistoryAnswer](r.ctx, p, "history", request) {
		if err != nil {
			return err
		}
		for i := range a.Sessions {
			s := &a.Sessions[i]
			if err := row(s.Machine, s.User, csvTimeText(s.Since), csvTimeText(s.Ended), s.How, s.Remote, s.Terminal, s.Service, s.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

func refusedCSV(p *Page, r *request, row func(...string) error) error {
	all, partial, err := p.letters.read(r.ctx, p)
	for partial && err == nil {
		all, partial, err = p.letters.read(r.ctx, p)
	}
	if err != nil {
		return err
	}
	if err := row("machine", "reason", "events", "last", "detail"); err != nil {
		return err
	}
	for i := range all {
		l := &all[i]
		if err := row(l.Machine, l.Reason, strconv.Itoa(l.Count), csvTimeText(l.Last), l.Detail); err != nil {
			return err
		}
	}
	return nil
}

func unheardCSV(p *Page, _ *request, row func(...string) error) error {
	if p.Expected == nil {
		return mistake{"path", errors.New("no file names the machines that there should be: ROLLCALL_PAGE_EXPECTED_FILE")}
	}
	if err := row("machine"); err != nil {
		return err
	}
	for _, name := range unheard(p.Expected(), p.fleet) {
		if err := row(name); err != nil {
			return err
		}
	}
	return nil
}
