package web

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// request is one request for a page.
type request struct {
	location
	ctx context.Context
	now time.Time
	// fleet is that of the moment; head and past say what is not known of it.
	fleet  *fleet.Fleet
	head   *api.Head
	pastOf *api.Past
	rev    uint64 // of the fleet, before anything else was read
}

// asOf says that the page shows something of an earlier revision: a view begins there.
func (r *request) asOf(rev uint64) {
	if !r.past() {
		//guard:set min(r.rev,rev) r.rev "a page that shows an older list is brought up to date" TestOlderList
		r.rev = min(r.rev, rev)
	}
}

// What the templates call.

// Now is when the page was made.
func (r *request) Now() time.Time { return r.now }

// End is the moment of the page, or now.
func (r *request) End() time.Time { return r.end(r.now) }

// Past reports whether the page is about the past.
func (l location) Past() bool { return l.past() }

// At is the moment of a page about the past.
func (l location) At() time.Time { return l.at }

// AtText is that moment as in URLs.
func (l location) AtText() string { return atText(l.at) }

// To is another page, at the same moment.
func (l location) To(page, name string) location { return l.to(page, name) }

// Page is the path of the page, without a name.
func (l location) Page() string { return l.page }

// PagePath is the path of the page.
func (l location) PagePath() string { return l.path("") }

// Filter is the text that selects the rows.
func (l location) Filter() string { return l.filter }

// Group is the group that the rows belong to.
func (l location) Group() string { return l.group }

// field is a hidden field of a form.
type field struct{ Name, Text string }

// FilterFields keep everything but the filter.
func (l location) FilterFields() []field { return l.fields("q", "from") }

// MomentFields keep everything but the moment.
func (l location) MomentFields() []field { return l.fields("at", "from") }

// MomentAction is where the form for a moment leads: the service and the search have no
// past.
func (l location) MomentAction() string {
	if !slices.Contains([]string{"/", "/machines", "/users"}, l.page) {
		return "/"
	}
	return l.path("")
}

func (l location) fields(without ...string) (all []field) {
	q := l.query()
	for _, name := range slices.Sorted(maps.Keys(q)) {
		if !slices.Contains(without, name) {
			all = append(all, field{name, q.Get(name)})
		}
	}
	return all
}

// content is what one page has beside the frame.
type content struct {
	Title    string
	Template string
	Data     any
	Command  string
	// Status is the HTTP status; 0: 200.
	Status int
	// Redirect is the URL of the page to show instead; empty: this one.
	Redirect string
}

// frame is what all pages have: the data of the template "page".
type frame struct {
	*request
	content
	Body    string
	Boot    string
	Rev     uint64
	Still   bool // the page has no stream
	Version string
	Nav     []tab
	Pill    string
	Banner  []note
	Strip   *strip
	// MistakeIn is the field with what is wrong with the URL; empty: none.
	MistakeIn string
	Text      string // of the field for a moment
}

// note is a line of the banner.
type note struct {
	Strong, Text string
	URL, Link    string
	Class        string // "past" or "warn"
}

// builder makes the content of a page.
type builder func(p *Page, r *request) (*content, error)

// page returns the handler of a page.
func (p *Page) page(build builder) http.HandlerFunc {
	return func(w http.ResponseWriter, req *http.Request) {
		ctx, cancel := context.WithTimeout(req.Context(), answerTime)
		defer cancel()
		r, err := p.request(ctx, req)
		if err == nil && r.location.URL() != req.URL.RequestURI() && canonical(r, req) {
			http.Redirect(w, req, r.location.URL(), http.StatusFound)
			return
		}
		var c *content
		if err == nil {
			c, err = build(p, r)
		}
		if err != nil {
			c = p.failed(r, err)
		}
		if c.Redirect != "" {
			http.Redirect(w, req, c.Redirect, http.StatusFound)
			return
		}
		p.write(w, r, c, err, req)
	}
}

// canonical reports whether a request has to be redirected to the one URL of its
// location: if it names the moment in another way.
func canonical(r *request, req *http.Request) bool {
	q := req.URL.Query()
	return q.Has("tz") || q.Has("at") && (r.at.IsZero() || q.Get("at") != atText(r.at))
}

// request reads a request, and finds the fleet of its moment.
func (p *Page) request(ctx context.Context, req *http.Request) (*request, error) {
	r := &request{ctx: ctx, now: p.now(), fleet: p.fleet, head: p.head()}
	r.rev, _ = p.fleet.Rev()
	var err error
	r.location, err = locate(req.URL.EscapedPath(), req.URL.RawQuery, r.now)
	if err != nil {
		r.at = time.Time{}
		return r, err
	}
	return r, nil
}

// open finds the fleet of the moment, for the pages that show all of it.
func (p *Page) open(r *request) error {
	//guard:false "a roster that has not been read is not empty" TestNothingKnown
	if !p.known.Load() {
		return fmt.Errorf("who is on is not known yet: %s", strings.TrimRight(cmp.Or(p.notLive(), "the roster is being read"), "."))
	}
	if !r.past() {
		return nil
	}
	then, err := p.moments.at(r.ctx, p, r.at)
	if err != nil {
		return err
	}
	r.fleet, r.head, r.pastOf = then.fleet, &then.head, &then.past
	return nil
}

// failed is the page of an error.
func (p *Page) failed(r *request, err error) *content {
	c := &content{Title: "Not shown", Template: "failed", Status: statusOf(err), Command: "rollcall status"}
	var m mistake
	if errors.As(err, &m) {
		err, c.Command = m.error, "rollcall --help"
	}
	back, link := r.now2(), "Show the page without it"
	switch {
	case m.field == "path":
		link = "Show all"
	case isRefusal(err, rollcallv1.CodeBadRequest): // the name may be what is wrong
		back = r.to(r.page, "").URL()
	//guard:false "a page of the past that failed does not lead to now" TestNothingKnown
	case c.Status >= http.StatusInternalServerError:
		back, link = r.location.URL(), "Try again"
	}
	c.Data = map[string]any{"Error": asSentence(err), "Back": back, "Link": link}
	return c
}

// statusOf returns the HTTP status of an error.
func statusOf(err error) int {
	var m mistake
	switch {
	case errors.As(err, &m) && m.field == "path":
		return http.StatusNotFound
	case errors.As(err, &m):
		return http.StatusBadRequest
	case isRefusal(err, rollcallv1.CodeNotFound):
		return http.StatusNotFound
	case isRefusal(err, rollcallv1.CodeBadRequest):
		return http.StatusBadRequest
	}
	return http.StatusBadGateway
}

// now2 returns the URL of the page without what is wrong.
func (r *request) now2() string {
	if r.page == "" {
		return "/"
	}
	return location{page: r.page, name: r.name}.URL()
}

// asSentence writes an error as a sentence.
func asSentence(err error) string {
	text := err.Error()
	if len(text) > 0 {
		text = strings.ToUpper(text[:1]) + text[1:]
	}
	return ended(text)
}

// ended returns a text that ends like a sentence.
func ended(text string) string {
	if strings.HasSuffix(text, "?") || strings.HasSuffix(text, ".") {
		return text
	}
	return text + "."
}

// write writes a page.
func (p *Page) write(w http.ResponseWriter, r *request, c *content, failure error, req *http.Request) {
	f := &frame{
		request: r, content: *c, Boot: p.boot, Rev: r.rev, Version: p.Version,
		Nav: r.nav(), Pill: p.pill(r), Strip: p.strip(r.ctx, &r.location, r.now), Text: req.URL.Query().Get("at"),
	}
	f.Still = c.Template == "failed"
	if c.Status >= http.StatusInternalServerError {
		f.Still, f.Rev = false, 0 // it comes alive: see [view]
	}
	f.Banner = p.banner(r)
	if r.past() {
		f.Text = r.at.UTC().Format(time.DateTime)
	}
	var m mistake
	if errors.As(failure, &m) {
		f.MistakeIn = m.field
	}
	var html bytes.Buffer
	if err := templates.ExecuteTemplate(&html, "page", f); err != nil {
		p.Log.Error("rendering a page", "page", r.page, "err", err)
		http.Error(w, "The page could not be rendered; the log of rollcall says why.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(cmp.Or(c.Status, http.StatusOK))
	_, _ = w.Write(html.Bytes()) // the client may have gone
}

// render renders a block for a stream.
func render(name string, data any) (string, error) {
	var html strings.Builder
	err := templates.ExecuteTemplate(&html, name, data)
	return html.String(), err
}

// nav returns the links to the pages.
func (r *request) nav() []tab {
	var all []tab
	for _, page := range []struct{ path, text string }{{"/", "Fleet"}, {"/machines", "Machines"}, {"/users", "Users"}, {"/service", "Service"}} {
		all = append(all, tab{Text: page.text, URL: r.to(page.path, "").URL(), On: page.path == r.page})
	}
	return all
}

// pill says whether the page is live.
func (p *Page) pill(r *request) string {
	switch {
	case r.past():
		return "Past"
	case p.notLive() != "":
		return "Not live"
	}
	return "Live"
}

// banner returns what everybody should know before reading on.
func (p *Page) banner(r *request) (notes []note) {
	if r.past() {
		notes = append(notes, note{Strong: "This is the past.", Text: "Nothing here changes by itself.", URL: r.location.now().URL(), Link: "Back to now", Class: "past"})
	}
	if why := p.notLive(); why != "" && !r.past() {
		notes = append(notes, note{Strong: "Not live:", Text: ended(why) + " What you see is what was known last.", Class: "warn"})
	}
	before := len(notes)
	if r.pastOf != nil {
		notes = append(notes, pastNotes(r.pastOf, r.head)...)
	}
	// What the history lacks says the same of a loss.
	if r.head != nil && !r.head.Complete && !r.past() && (len(notes) == before || doubtful(r.head)) {
		notes = append(notes, headNotes(r.head, r)...)
	}
	return notes
}

// doubtful reports whether the newest events may be missing.
func doubtful(h *api.Head) bool {
	return slices.Contains(h.Reasons, replaying) || slices.Contains(h.Reasons, api.Stale)
}

// replaying is the reason of a service that has not caught up.
const replaying = "replaying"

// headNotes says why the roster is not complete.
func headNotes(h *api.Head, r *request) []note {
	service := r.to("/service", "").URL()
	if slices.Contains(h.Reasons, replaying) {
		return []note{{Strong: "Not caught up:", Text: "rollcall is still reading the events of before its start.", URL: service, Link: "How far", Class: "warn"}}
	}
	if slices.Contains(h.Reasons, api.Stale) {
		return []note{{Strong: "Perhaps not up to date:", Text: "rollcall cannot see the stream of events, so the latest may be missing.", URL: service, Link: "Why", Class: "warn"}}
	}
	text := fmt.Sprintf("events were lost (%s).", strings.Join(h.Reasons, ", "))
	if h.Unsettled > 0 {
		text += " " + plural(h.Unsettled, "machine has", "machines have") + " not said since then who is on."
	}
	return []note{{Strong: "Not complete:", Text: text, URL: service, Link: "What to do", Class: "warn"}}
}

// pastNotes says what an answer about the past lacks.
func pastNotes(past *api.Past, h *api.Head) (notes []note) {
	add := func(text string) { notes = append(notes, note{Strong: "Not complete:", Text: text, Class: "warn"}) }
	if !past.KeptFrom.IsZero() {
		add("the history begins at " + past.KeptFrom.UTC().Format(time.DateTime) + " UTC; sessions that ended before are missing.")
	}
	if n := past.MachinesIncomplete; n > 0 {
		where := plural(n, "machine", "machines")
		if len(past.Gaps) > 0 {
			one := clip(past.Gaps[0].Machine) + " (" + past.Gaps[0].Reason + ")"
			if where += ", such as " + one; n == 1 {
				where = one
			}
		}
		add("sessions may be missing on " + where + ".")
	}
	if h != nil && slices.Contains(h.Reasons, "behind") {
		add("the history is behind; the newest events are missing.")
	}
	return notes
}
