package web

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // the zones of viewers, on every machine
	"unicode/utf8"

	"rollcall/internal/api"
	"rollcall/internal/moment"
	"rollcall/internal/web/fleet"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// location is what a URL says: all of the state of a page.
type location struct {
	// page is the path without a name: "/", "/machines", "/users", "/service", "/find".
	page string
	// name is the machine or the user of the path; empty: none.
	name string
	// at is the moment; zero: now.
	at time.Time
	// span is the time before the moment that a timeline shows; 0: a day.
	span time.Duration
	// filter, state, group and sort select and order rows; see [fleet.Selection].
	filter             string
	state, group, sort string
	// from is the index of the first row.
	from int
}

// spans are the times that a timeline can show.
var spans = []struct {
	text string
	span time.Duration
}{
	{"24h", day}, {"48h", 2 * day}, {"7d", 7 * day}, {"30d", 30 * day},
}

const day = 24 * time.Hour

// A mistake is an error of whoever wrote the URL, in a sentence for the page.
type mistake struct {
	field string // of the form it belongs to: "at" or "q"; "path": there is no such page
	error
}

func (m mistake) Unwrap() error { return m.error }

// readLocation reads a URL's path and query. Moments without a zone are in that of the
// parameter tz, else in UTC. Parameters that a page does not have are ignored.
func readLocation(path string, q url.Values, now time.Time) (location, error) {
	l, err := readPath(path)
	if err != nil {
		return l, err
	}
	switch {
	case l.name != "":
		err = l.readSpan(q.Get("span"))
	case l.page == "/machines" || l.page == "/users":
		err = l.readList(q)
	case l.page == "/find" || l.page == "/names":
		err = l.readSearch(q.Get("q"))
	}
	if err != nil {
		return l, err
	}
	l.at, err = readMoment(strings.TrimSpace(q.Get("at")), q.Get("tz"), now)
	//guard:false "no machine is said not to have been silent" TestUnknownIsNotZero
	if err == nil && l.past() && l.state == "silent" {
		err = mistake{"", errors.New("state=silent: which machines were silent is not kept for the past; leave the state or the moment out")}
	}
	return l, err
}

// locate reads a URL's path and its query as written.
func locate(path, query string, now time.Time) (location, error) {
	q, err := readQuery(query)
	if err != nil {
		l, pathErr := readPath(path)
		return l, cmp.Or(pathErr, err)
	}
	return readLocation(path, q, now)
}

// parameters are what may be given once. Of the others, such as those that a mail program
// adds, nothing is read.
var parameters = []string{"at", "tz", "span", "q", "state", "group", "sort", "from"}

// readQuery reads a query. [url.URL.Query] leaves out what it cannot read, and the rest would
// select what nobody asked for.
func readQuery(text string) (url.Values, error) {
	q, err := url.ParseQuery(text)
	//guard:false "a query that cannot be read does not select something else" TestUnreadableQueries
	if err != nil {
		return nil, mistake{"", fmt.Errorf("what follows ? in the address cannot be read (%w): write %% as %%25, & as %%26 and ; as %%3B", err)}
	}
	for _, name := range parameters {
		//guard:false "of two filters none is silently ignored" TestUnreadableQueries
		if len(q[name]) > 1 {
			return nil, mistake{"", fmt.Errorf("the address has %s= twice: give it once", name)}
		}
	}
	return q, nil
}

// readSpan reads the time that a timeline shows.
func (l *location) readSpan(text string) error {
	if text == "" {
		return nil
	}
	if l.span = spanOf(text); l.span == 0 {
		return mistake{"", fmt.Errorf("span=%q: use 24h, 48h, 7d or 30d", clip(text))}
	}
	return nil
}

// readSearch reads a part of a name.
func (l *location) readSearch(text string) error {
	l.filter = text
	const most = 255 // bytes, as of a name
	//guard:drop most "a search that no name can match says so" TestMistakes
	if len(text) > most || !utf8.ValidString(text) {
		return mistake{"", fmt.Errorf("%q is no part of a name: a name has at most %d bytes of UTF-8", clip(text), most)}
	}
	return nil
}

// readPath reads a path, as written in the URL.
func readPath(path string) (location, error) {
	for _, page := range []string{"/machines", "/users"} {
		rest, ok := strings.CutPrefix(path, page+"/")
		if !ok {
			continue
		}
		token, err := url.PathUnescape(rest)
		if err == nil {
			var name string
			if name, err = rollcallv1.DecodeMachine(token); err == nil {
				return location{page: page, name: name}, nil
			}
		}
		return location{page: page}, mistake{"path", fmt.Errorf("the path %q is not the spelling of a name: use the links, or the search", clip(path))}
	}
	return location{page: path}, nil
}

var (
	machineStates = []string{"", "used", "nobody", "silent"}
	userStates    = []string{"", "several"}
	machineSorts  = []string{"", "name", "users", "changed", "heard"}
	userSorts     = []string{"", "name", "machines"}
)

// readList reads what selects and orders rows, and the first of them.
func (l *location) readList(q url.Values) error {
	l.filter, l.state, l.sort = q.Get("q"), q.Get("state"), q.Get("sort")
	states, sorts := userStates, userSorts
	if l.page == "/machines" {
		l.group = q.Get("group")
		states, sorts = machineStates, machineSorts
	}
	if _, err := fleet.ParseFilter(l.filter); err != nil {
		return mistake{"q", err}
	}
	if !contains(states, l.state) {
		return mistake{"", fmt.Errorf("state=%q: use one of%s", clip(l.state), strings.Join(states, " "))}
	}
	if !contains(sorts, strings.TrimPrefix(l.sort, "-")) || l.sort == "-" {
		return mistake{"", fmt.Errorf("sort=%q: use one of%s, with - in front for the reverse", clip(l.sort), strings.Join(sorts, " "))}
	}
	if text := q.Get("from"); text != "" {
		var err error
		if l.from, err = strconv.Atoi(text); err != nil || l.from < 0 {
			return mistake{"", fmt.Errorf("from=%q: use the number of a row, from 0", clip(text))}
		}
	}
	return nil
}

func contains(all []string, one string) bool {
	for _, each := range all {
		if each == one {
			return true
		}
	}
	return false
}

func spanOf(text string) time.Duration {
	for _, s := range spans {
		if s.text == text {
			return s.span
		}
	}
	return 0
}

// readMoment reads the moment of a URL or of the form: the end of what it names. A moment
// that is not over is now. Spans count back from the last whole second, as URLs have whole
// seconds.
func readMoment(text, zone string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	loc, err := time.LoadLocation(zone)
	//guard:set err!=nil false "a moment is not silently shown in another zone" TestMoments
	if err != nil || zone == "Local" {
		return time.Time{}, mistake{"at", fmt.Errorf("tz=%q is not a zone that rollcall knows: give the moment in UTC, such as 2026-11-22T10:17:00Z", clip(zone))}
	}
	now = now.Truncate(time.Second)
	period, err := moment.Parse(text, now, loc)
	if err != nil {
		return time.Time{}, mistake{"at", fmt.Errorf("%q: %w", clip(text), err)}
	}
	// The clock of whoever looks may be a little ahead.
	if period.First.After(now.Add(time.Minute)) {
		return time.Time{}, mistake{"at", fmt.Errorf("%q has not come yet: leave the moment out to see who is on now", clip(text))}
	}
	if !period.Last.Before(now) {
		return time.Time{}, nil
	}
	return period.Last.UTC(), nil
}

// atText is the moment as in the URL. A whole second stands for its end, as everywhere.
func atText(t time.Time) string {
	if t.Nanosecond() == 999_999_999 {
		return t.UTC().Format("2006-01-02T15:04:05Z")
	}
	return t.UTC().Format(time.RFC3339Nano)
}

// path returns the path of the page, or of a part of it such as "/sessions.csv".
func (l location) path(part string) string {
	if l.name == "" {
		return l.page + part
	}
	return l.page + "/" + url.PathEscape(rollcallv1.EncodeMachine(l.name)) + part
}

// query returns the query of the URL.
func (l location) query() url.Values {
	q := url.Values{}
	add := func(key, value string) {
		if value != "" {
			q.Set(key, value)
		}
	}
	add("q", l.filter)
	add("state", l.state)
	add("group", l.group)
	add("sort", l.sort)
	if l.from > 0 {
		add("from", strconv.Itoa(l.from))
	}
	if l.span > 0 && l.span != day {
		for _, s := range spans {
			if s.span == l.span {
				add("span", s.text)
			}
		}
	}
	if !l.at.IsZero() {
		add("at", atText(l.at))
	}
	return q
}

// URL returns the one URL of a location.
func (l location) URL() string { return l.part("") }

// part returns the URL of a part of the page.
func (l location) part(part string) string {
	if q := l.query().Encode(); q != "" {
		return l.path(part) + "?" + q
	}
	return l.path(part)
}

// to returns another page, at the same moment; but the service is shown as it is now.
func (l location) to(page, name string) location {
	//guard:false "the link to the service leads to it from the past, too" TestLinks
	if page == "/service" {
		return location{page: page}
	}
	return location{page: page, name: name, at: l.at}
}

// now returns the same page, now.
func (l location) now() location {
	l.at = time.Time{}
	return l
}

// past reports whether the location is about the past.
func (l location) past() bool { return !l.at.IsZero() }

// end returns the moment of the location, or now.
func (l location) end(now time.Time) time.Time {
	if l.past() {
		return l.at
	}
	return now
}

// moment returns the moment for a question.
func (l location) moment() api.Moment {
	if !l.past() {
		return api.Moment{}
	}
	return api.Moment{At: l.at.Format(time.RFC3339Nano)}
}

// shownSpan returns the time that a timeline shows.
func (l location) shownSpan() time.Duration {
	if l.span == 0 {
		return day
	}
	return l.span
}

// selection returns what the location selects. Its filter was checked.
func (l location) selection() fleet.Selection {
	filter, _ := fleet.ParseFilter(l.filter)
	return fleet.Selection{Filter: filter, State: l.state, Group: l.group, Sort: l.sort}
}

// clip shortens a text of the URL for an error.
func clip(text string) string {
	const most = 60
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}
