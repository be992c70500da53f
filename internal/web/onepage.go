package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"rollcall/internal/api"
)

// onePage is the data of the page of one machine or one user.
type onePage struct {
	*request
	Name         string
	on           []string // the users on the machine, or the machines of the user, in byte order
	Sentence     sentence
	Facts        []note
	Sessions     []session
	MoreSessions bool
	Spans        []tab
	Timeline     *timeline
	History      []stay
	// MoreHistory says that the span has more sessions than the table.
	MoreHistory             bool
	SessionsCSV, HistoryCSV string
	// Heard is when the machine was heard from last; zero: not known, or the page is about
	// a user or the past.
	Heard time.Time
	// LastTime is the newest begin or end of a session before a past moment.
	LastTime time.Time
}

// sentence is what most come to a page for: "Free since 14:02, last: kim".
type sentence struct {
	// Class is "used", "free", "unknown" or "red".
	Class, Text string
	Time        time.Time // after the text; zero: none
	Rest        string
	At          time.Time // the moment of the page
	// Heard is when the machine was heard from last, if it is silent since; zero: it is not,
	// or that is in the text.
	Heard time.Time
}

// doubt says that there may be more to know.
func (s *sentence) doubt() {
	s.Class = "unknown"
	if !strings.HasSuffix(s.Text+s.Rest, doubt) {
		s.Rest += doubt
	}
}

// doubt is the end of a sentence that more may be known of.
const doubt = ", as far as known"

// asKnown is the doubt about what the history says, if it lacks something.
func asKnown(past *api.Past) string {
	if past != nil && (!past.KeptFrom.IsZero() || past.MachinesIncomplete > 0) {
		return doubt
	}
	return ""
}

// lacking returns what two answers lack.
func lacking(a, b *api.Past) *api.Past {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	both := *a
	both.KeptFrom = latest(a.KeptFrom, b.KeptFrom)
	if b.MachinesIncomplete > a.MachinesIncomplete {
		both.MachinesIncomplete, both.Gaps = b.MachinesIncomplete, b.Gaps
	}
	return &both
}

// stay is a row of the history.
type stay struct {
	api.PastStay
	URL string
	// Open says that it had not ended at the moment of the page.
	Open bool
	// Until is its end, or the moment of the page.
	Until time.Time
}

const (
	maxSessions = 50
	// maxTimeline bounds the sessions that a timeline is made of, shownHistory those in
	// the table.
	maxTimeline  = 3000
	shownHistory = 50
	// historyReaders is how many pages of one machine or user are made at a time.
	historyReaders = 8
)

// sessions puts sessions into a page, as many as it shows.
func (o *onePage) sessions(rows []session) {
	o.MoreSessions = len(rows) > maxSessions
	o.Sessions = rows[:min(len(rows), maxSessions)]
}

// byArrival sorts sessions by who came last.
func byArrival(sessions []api.Stay) []api.Stay {
	slices.SortStableFunc(sessions, func(a, b api.Stay) int { return b.Since.Compare(a.Since) })
	return sessions
}

// atLatest says that the first of some sessions may have begun earlier, if that is so.
func atLatest(sessions []api.Stay) string {
	if slices.ContainsFunc(sessions, func(s api.Stay) bool { return !exact(&s.Session) }) {
		return " at the latest"
	}
	return ""
}

// lastEnded returns the stay that ended last, until a moment; nil: none.
func lastEnded(stays []api.PastStay, until time.Time) (last *api.PastStay) {
	for i := range stays {
		if s := &stays[i]; !s.Ended.IsZero() && !s.Ended.After(until) && (last == nil || s.Ended.After(last.Ended)) {
			last = s
		}
	}
	return last
}

// short lists names: all of a few, else how many.
func short(names []string) string {
	if len(names) > chips {
		return plural(len(names), "user", "users")
	}
	return strings.Join(names, ", ")
}

// different returns the names that sessions have, each once.
func different(sessions []api.Stay, name func(*api.Stay) string) (names []string) {
	seen := map[string]bool{}
	for i := range sessions {
		if one := name(&sessions[i]); !seen[one] {
			seen[one] = true
			names = append(names, one)
		}
	}
	return names
}

// history is what the history says of a machine or a user in the time shown.
type history struct {
	stays []api.PastStay
	marks []api.Mark
	past  *api.Past
	cut   bool
	err   error
}

// history asks for the sessions in the time shown, the latest first.
func (p *Page) history(r *request, request api.HistoryRequest) (h history) {
	to := r.end(r.now)
	request.From, request.To = to.Add(-r.shownSpan()).UTC().Format(time.RFC3339Nano), to.UTC().Format(time.RFC3339Nano)
	for a, err := range pages[api.HistoryAnswer](r.ctx, p, "history", request) {
		if err != nil {
			h.err = err
			break
		}
		if h.past == nil {
			h.past = a.Past
		}
		h.stays = append(h.stays, a.Sessions...)
		h.marks = append(h.marks, a.Marks...)
		if len(h.stays) >= maxTimeline {
			h.cut = true
			break
		}
	}
	return h
}

// show puts a history into a page: name is what has a lane of the timeline, and where
// its rows lead.
func (o *onePage) show(h history, name func(*api.PastStay) string, target string) {
	to := o.end(o.now)
	o.Timeline = newTimeline(h.stays, to.Add(-o.shownSpan()), to, name, func(name string) string { return o.to(target, name).URL() })
	o.Timeline.Cut = h.cut
	for _, s := range spans {
		l := o.location
		l.span = s.span
		o.Spans = append(o.Spans, tab{Text: s.text, URL: l.URL(), On: s.span == o.shownSpan()})
	}
	for i := range h.stays[:min(len(h.stays), shownHistory)] {
		s := h.stays[i]
		row := stay{PastStay: s, URL: o.to(target, name(&s)).URL(), Until: s.Ended}
		if row.Open = s.Ended.IsZero() || s.Ended.After(to); row.Open {
			row.Until = to
		}
		o.History = append(o.History, row)
	}
	o.MoreHistory = len(h.stays) > shownHistory
	o.SessionsCSV, o.HistoryCSV = o.part("/sessions.csv"), o.part("/history.csv")
	if h.err != nil {
		o.Facts = append(o.Facts, note{Text: "the history is not shown: " + h.err.Error(), Class: "warn"})
	}
}
