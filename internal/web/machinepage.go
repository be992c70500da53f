package web

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

// buildMachine makes the page of a machine.
func buildMachine(p *Page, r *request) (*content, error) {
	done, err := p.histories.take(r.ctx, "histories")
	if err != nil {
		return nil, err
	}
	defer done()
	// The history first: with it, the service knows since when who is on is on.
	past := p.history(r, api.HistoryRequest{Machine: r.name, Marks: true})
	a, sessions, err := p.machine(r)
	if err != nil {
		return p.unknown(r, err)
	}
	page := &onePage{request: r, Name: r.name, on: slices.Sorted(slices.Values(different(sessions, func(s *api.Stay) string { return s.User })))}
	page.sessions(p.sessionRows(sessions, func(s *api.Stay) string { return r.to("/users", s.User).URL() }))
	r.pastOf, r.head = lacking(a.Past, past.past), &a.Head
	page.show(past, func(s *api.PastStay) string { return s.User }, "/users")
	page.Timeline.mark(past.marks)
	last := p.lastWord(r, &a)
	if !last.IsZero() {
		for i := range page.Timeline.Lanes {
			page.Timeline.unheard(&page.Timeline.Lanes[i], last)
		}
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
	if r.past() {
		return p.lastWords(r, []string{r.name})[r.name]
	}
	if !a.Silent || a.Heard.After(r.now) {
		return time.Time{}
	}
	return a.Heard
}

// lastWords returns when those of some machines that are silent were heard from last, if that
// was not after the moment of the page.
func (p *Page) lastWords(r *request, names []string) map[string]time.Time {
	silent := slices.DeleteFunc(p.fleet.Found(names), func(m *fleet.Machine) bool { return !m.Silent })
	heard := p.heards.of(r.ctx, p, silent)
	words := map[string]time.Time{}
	for _, m := range silent {
		if last := latest(heard[m.Name], m.Changed); !last.After(r.end(r.now)) {
			words[m.Name] = last
		}
	}
	return words
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
