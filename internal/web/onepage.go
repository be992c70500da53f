package web

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/client"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// onePage is the data of the page of one machine or one user.
type onePage struct {
	*request
	Name         string
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
)

// buildMachine makes the page of a machine.
func buildMachine(p *Page, r *request) (*content, error) {
	// The history first: with it, the service knows since when who is on is on.
	past := p.history(r, api.HistoryRequest{Machine: r.name, Marks: true})
	a, sessions, err := p.machine(r)
	if err != nil {
		return p.unknown(r, err)
	}
	page := &onePage{request: r, Name: r.name}
	page.sessions(p.sessionRows(sessions, func(s *api.Stay) string { return r.to("/users", s.User).URL() }))
	r.pastOf, r.head = lacking(a.Past, past.past), &a.Head
	page.show(past, func(s *api.PastStay) string { return s.User }, "/users")
	page.Timeline.mark(past.marks)
	last := p.lastWord(r, &a)
	if !last.IsZero() {
		t := page.Timeline
		t.Unheard = percent(last, t.From, t.To)
		t.UnheardWidth = percent(t.From.Add(t.To.Sub(last)), t.From, t.To)
	}
	page.Sentence = machineSentence(r, &a, sessions, &past)
	//guard:false "of the time since the last word of a silent machine nothing is known" TestSilentSince
	if r.past() && !last.IsZero() {
		page.Sentence.doubt()
		page.Sentence.Heard = last
	}
	page.Sentence.At = r.end(r.now)
	page.Heard = a.Heard
	if r.past() {
		page.LastTime = lastTime(past.stays, r.at)
	}
	page.Facts = append(page.Facts, p.machineFacts(r, &a)...)
	return &content{Title: r.name, Template: "machine", Data: page, Command: command("rollcall who", r.commandAt(), literal(r.name))}, nil
}

// lastWord returns when a machine that is silent was heard from last; zero: it is not, or that
// was after the moment of the page.
func (p *Page) lastWord(r *request, a *api.MachineAnswer) time.Time {
	last, silent := a.Heard, a.Silent
	if m := p.fleet.Machine(r.name); r.past() && m != nil {
		last, silent = latest(m.Heard, m.Changed), m.Silent
	}
	if !silent || last.After(r.end(r.now)) {
		return time.Time{}
	}
	return last
}

// machine asks who is on a machine.
func (p *Page) machine(r *request) (first api.MachineAnswer, sessions []api.Stay, err error) {
	for a, err := range pages[api.MachineAnswer](r.ctx, p, "machine", api.MachineRequest{Machine: r.name, Moment: r.moment()}) {
		if err != nil {
			return first, nil, err
		}
		if first.Machine == "" {
			first = a
		}
		for _, s := range a.Sessions {
			sessions = append(sessions, api.Stay{Machine: r.name, Session: s})
		}
		if len(sessions) > maxStays {
			break
		}
	}
	return first, byArrival(sessions), nil
}

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

// machineSentence says whether somebody is on a machine, and if not, since when.
func machineSentence(r *request, a *api.MachineAnswer, sessions []api.Stay, past *history) sentence {
	users := different(sessions, func(s *api.Stay) string { return s.User })
	silent := "Not known: silent for " + spanText(r.now.Sub(a.Heard))
	switch {
	case a.Silent && len(users) == 0:
		return sentence{Class: "unknown", Text: silent + ", nobody when last heard"}
	case a.Silent:
		return sentence{Class: "unknown", Text: silent + ", then: " + short(users)}
	case len(users) == 1:
		first := len(sessions) - 1
		return sentence{Class: "used", Text: "In use by " + users[0] + " since", Time: sessions[first].Since, Rest: atLatest(sessions)}
	case len(users) > 0:
		return sentence{Class: "used", Text: "In use by " + short(users) + ", the last since", Time: sessions[0].Since, Rest: atLatest(sessions[:1])}
	}
	s := sentence{Class: "free", Text: "Free"}
	if last := lastEnded(past.stays, r.end(r.now)); last != nil {
		s.Text, s.Time, s.Rest = "Free since", last.Ended, ", last: "+cmp.Or(last.User, "an unknown user")
	} else if past.err == nil {
		s.Text += ", and nobody was on in the time shown" + asKnown(past.past)
	}
	// What is missing may be a login.
	//guard:false "a machine is not free if a login may be missing" TestSentences
	if !a.Complete || a.Missing > 0 {
		s.doubt()
	}
	return s
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

// lastTime returns the newest begin or end of a stay until a moment.
func lastTime(stays []api.PastStay, until time.Time) (last time.Time) {
	for i := range stays {
		for _, t := range []time.Time{stays[i].Since, stays[i].Ended} {
			if t.After(last) && !t.After(until) {
				last = t
			}
		}
	}
	return last
}

// LastEvent reports whether there was an event before the moment.
func (o *onePage) LastEvent() bool { return !o.LastTime.IsZero() }

// short lists names: all of a few, else how many.
func short(names []string) string {
	if len(names) > chips {
		return plural(len(names), "user", "users")
	}
	return strings.Join(names, ", ")
}

// machineFacts are what else there is to know of a machine.
func (p *Page) machineFacts(r *request, a *api.MachineAnswer) (facts []note) {
	if a.Missing > 0 {
		facts = append(facts, note{Text: plural(int(a.Missing), "event of it", "events of it") + " never arrived: what is shown may lack sessions", Class: "warn"})
	}
	if !a.Complete && !r.past() {
		facts = append(facts, note{Text: "not complete (" + strings.Join(a.Reasons, ", ") + "): a login or logout may be missing until its next boot or report of who is on", Class: "warn"})
	}
	return facts
}

// buildUser makes the page of a user.
func buildUser(p *Page, r *request) (*content, error) {
	past := p.history(r, api.HistoryRequest{User: r.name})
	first, sessions, err := p.user(r)
	if err != nil {
		return p.unknown(r, err)
	}
	page := &onePage{request: r, Name: r.name}
	page.sessions(p.sessionRows(sessions, func(s *api.Stay) string { return r.to("/machines", s.Machine).URL() }))
	r.pastOf, r.head = lacking(first.Past, past.past), &first.Head
	machine := func(s *api.PastStay) string { return s.Machine }
	page.show(past, machine, "/machines")
	line := countOver(past.stays, machine, page.Timeline.From, page.Timeline.To)
	page.Timeline.Band = line.paths(3, p.machinesLevel)
	if p.isService(r.name) {
		page.Facts = append(page.Facts, note{Text: "a service account: expected on many machines"})
	}
	page.Sentence = p.userSentence(r, &first, sessions, &past)
	page.Sentence.At = r.end(r.now)
	return &content{Title: r.name, Template: "user", Data: page, Command: command("rollcall where", r.commandAt(), literal(r.name))}, nil
}

// user asks where a user is.
func (p *Page) user(r *request) (first api.UserAnswer, sessions []api.Stay, err error) {
	for a, err := range pages[api.UserAnswer](r.ctx, p, "user", api.UserRequest{User: r.name, Moment: r.moment()}) {
		if err != nil {
			return first, nil, err
		}
		if first.User == "" {
			first = a
		}
		if sessions = append(sessions, a.Sessions...); len(sessions) > maxStays {
			break
		}
	}
	return first, byArrival(sessions), nil
}

// userSentence says where a user is, or was last.
func (p *Page) userSentence(r *request, a *api.UserAnswer, sessions []api.Stay, past *history) sentence {
	machines := different(sessions, func(s *api.Stay) string { return s.Machine })
	silent := len(different(slices.DeleteFunc(slices.Clone(sessions), func(s api.Stay) bool { return !s.Silent }), func(s *api.Stay) string { return s.Machine }))
	switch n := len(machines); {
	case n > 1:
		one := sentence{Class: "used", Text: fmt.Sprintf("On %s machines at once", number(n)), Time: sessions[0].Since, Rest: atLatest(sessions[:1])}
		switch {
		case silent == n:
			one.Class, one.Rest = "unknown", one.Rest+", as last known: all are silent"
		case silent > 0:
			one.Text += ", " + number(silent) + " of them silent"
		}
		one.Text += ", the last since"
		if n >= p.Several && !p.isService(r.name) {
			one.Class = "red"
		}
		return one
	case n == 1:
		one := sentence{Class: "used", Text: "On " + machines[0] + " since", Time: sessions[len(sessions)-1].Since, Rest: atLatest(sessions)}
		//guard:false "a user is not said to be on a machine that is silent" TestSilentPlaces
		if silent > 0 {
			one.Class, one.Rest = "unknown", one.Rest+", as last known: it is silent"
		}
		return one
	}
	s := sentence{Class: "free", Text: "Nowhere"}
	if last := lastEnded(past.stays, r.end(r.now)); last != nil {
		s.Text, s.Time, s.Rest = "Nowhere since", last.Ended, ", last on "+last.Machine
	} else if past.err == nil {
		s.Text += ", and on no machine in the time shown" + asKnown(past.past)
	}
	//guard:false "a user is not nowhere if a login may be missing" TestSentences
	if !a.Complete {
		s.doubt()
	}
	return s
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

// unknown is the page of a machine or user that the service does not know: names that
// are near, and, for a machine that there should be, what to do.
func (p *Page) unknown(r *request, err error) (*content, error) {
	if !isRefusal(err, rollcallv1.CodeNotFound) {
		return nil, err
	}
	c, findErr := p.find(r, r.name)
	if findErr != nil {
		return nil, err
	}
	found := c.Data.(*findPage)
	found.Unknown, found.Kind = r.name, strings.TrimPrefix(strings.TrimSuffix(r.page, "s"), "/")
	c.Title = "No " + found.Kind + " " + r.name
	if r.page == "/users" {
		c.Command = command("rollcall where -m", "", r.name)
	}
	found.Expected = r.page == "/machines" && p.Expected != nil && slices.Contains(p.Expected(), r.name)
	c.Status = 404
	return c, nil
}

// together runs functions side by side, and returns the first error.
func together(all ...func() error) error {
	errs := make([]error, len(all))
	var wait sync.WaitGroup
	for i, one := range all {
		wait.Go(func() { errs[i] = one() })
	}
	wait.Wait()
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// findPage is the data of the page of a search.
type findPage struct {
	*request
	Text            string
	Machines, Users []chip
	MoreMachines    bool
	MoreUsers       bool
	// Unknown is the name that was not found, Kind "machine" or "user"; empty: the page
	// is a search.
	Unknown, Kind string
	Expected      bool
}

// Enroll is the command that enrols the machine that was not found.
func (f *findPage) Enroll() string { return command("rollcall enroll", "", f.Unknown) }

// buildFind makes the page of a search. A name that only one machine or user has leads
// there.
func buildFind(p *Page, r *request) (*content, error) {
	c, err := p.find(r, strings.TrimSpace(r.filter))
	if err == nil {
		c.Redirect = c.Data.(*findPage).found()
	}
	return c, err
}

const shownFound = 50

// find searches names.
func (p *Page) find(r *request, text string) (*content, error) {
	page := &findPage{request: r, Text: text}
	c := &content{Title: "Search", Template: "find", Data: page, Command: "rollcall who"}
	if text == "" {
		return c, nil
	}
	c.Command = command("rollcall who -m", "", text)
	n := uint32(shownFound)
	a, err := one[api.FindAnswer](r.ctx, p, "find", api.FindRequest{Text: text, Limit: &n})
	if err != nil {
		return nil, err
	}
	page.MoreMachines, page.MoreUsers = a.MoreMachines, a.MoreUsers
	for _, name := range a.Machines {
		page.Machines = append(page.Machines, chip{name, r.to("/machines", name).URL()})
	}
	for _, name := range a.Users {
		page.Users = append(page.Users, chip{name, r.to("/users", name).URL()})
	}
	return c, nil
}

// found returns the URL of the one result that has the name that was searched for, if
// it has.
func (f *findPage) found() string {
	var exact []string
	for _, c := range slices.Concat(f.Machines, f.Users) {
		if strings.EqualFold(c.Name, f.Text) {
			exact = append(exact, c.URL)
		}
	}
	if len(exact) == 1 {
		return exact[0]
	}
	return ""
}

// letters are the dead letters, counted by machine and reason, as far as they were read.
type letters struct {
	mu    sync.Mutex
	after uint64 // the sequence of the last that was read
	kinds map[[2]string]*refused
}

// refused is the dead letters of a machine for a reason.
type refused struct {
	Machine, Reason, Detail string
	Count                   int
	Last                    time.Time
	URL                     string
}

const (
	maxRefused   = 5000
	shownRefused = 50
	lettersTime  = 700 * time.Millisecond
)

// read reads on, for a while, and returns those refused last.
func (l *letters) read(ctx context.Context, p *Page) (all []refused, partial bool, err error) {
	link := p.link.Load()
	if link == nil {
		return nil, false, errNotConnected
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.kinds == nil {
		l.kinds = map[[2]string]*refused{}
	}
	reading, cancel := context.WithTimeout(ctx, lettersTime)
	defer cancel()
	first, last, err := client.DeadLetterRange(reading, link.conn, p.Subjects, p.DeadLetters)
	//guard:false "refused events that were purged are not shown" TestLettersGone
	if err == nil && (first > l.after || last < l.after) {
		l.after, l.kinds = 0, map[[2]string]*refused{} // all that were read are gone
	}
	if err == nil {
		l.after, err = client.DeadLetters(reading, link.conn, p.Subjects, p.DeadLetters, l.after, l.add)
	}
	if reading.Err() != nil && ctx.Err() == nil {
		partial, err = true, nil
	}
	for _, k := range l.kinds {
		all = append(all, *k)
	}
	slices.SortFunc(all, func(a, b refused) int { return b.Last.Compare(a.Last) })
	return all[:min(len(all), shownRefused)], partial, err
}
