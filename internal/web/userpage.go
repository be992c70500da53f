package web

import (
	"slices"
	"time"

	"rollcall/internal/api"
)

// buildUser makes the page of a user.
func buildUser(p *Page, r *request) (*content, error) {
	done, err := p.histories.take(r.ctx, "histories")
	if err != nil {
		return nil, err
	}
	defer done()
	past := p.history(r, api.HistoryRequest{User: r.name})
	first, sessions, err := p.user(r)
	if err != nil {
		return p.unknown(r, err)
	}
	page := &onePage{request: r, Name: r.name, on: slices.Sorted(slices.Values(different(sessions, func(s *api.Stay) string { return s.Machine })))}
	page.sessions(p.sessionRows(sessions, func(s *api.Stay) string { return r.to("/machines", s.Machine).URL() }))
	r.pastOf, r.head = lacking(first.Past, past.past), &first.Head
	machine := func(s *api.PastStay) string { return s.Machine }
	page.show(past, machine, "/machines")
	line := countOver(past.stays, machine, page.Timeline.From, page.Timeline.To)
	page.Timeline.Band, page.Timeline.Most = line.paths(3, p.machinesLevel), line.most()
	//guard:set !p.isService(r.name) true "a service account is never red" TestNeverRed
	page.Timeline.Red = !p.isService(r.name)
	p.hatch(r, page, &line)
	if p.isService(r.name) {
		page.Facts = append(page.Facts, note{Text: "a service account: expected on many machines"})
	}
	page.Sentence = p.userSentence(r, &first, sessions, &past)
	page.Sentence.At = r.end(r.now)
	return &content{Title: r.name, Template: "user", Data: page, Command: command("rollcall where", r.commandAt(), literal(r.name))}, nil
}

// hatch says of which times of a user's timeline nothing is known, as the machines are silent
// since.
func (p *Page) hatch(r *request, page *onePage, line *dayline) {
	t := page.Timeline
	names := slices.Clone(page.on)
	for i := range t.Lanes {
		names = append(names, t.Lanes[i].Name)
	}
	slices.Sort(names)
	words := p.lastWords(r, slices.Compact(names))
	for i := range t.Lanes {
		//guard:false "where a machine is silent, its lane is hatched" TestSilentOfUsers
		if last, silent := words[t.Lanes[i].Name]; silent {
			t.unheard(&t.Lanes[i], last)
		}
	}
	var last time.Time
	for _, machine := range page.on {
		word, silent := words[machine]
		if !silent {
			return
		}
		last = latest(last, word)
	}
	if len(page.on) > 0 {
		t.BandUnheard = line.unheard(last)
	}
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
		where := number(n) + " machines"
		if n == 2 {
			where = machines[0] + " and " + machines[1]
		}
		one := sentence{Class: "used", Text: "On " + where + " at once", Time: sessions[0].Since, Rest: atLatest(sessions[:1])}
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
