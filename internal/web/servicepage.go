package web

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/web/fleet"
)

// servicePage is the data of the page of the service itself.
type servicePage struct {
	*request
	Status *api.StatusAnswer
	Facts  []fact
	Fates  []fact
	// Letters are those refused last, of LettersCount machines and reasons; LettersPartial says
	// that there are more that have not been read yet.
	Letters        []refused
	LettersCount   int
	LettersPartial bool
	LettersError   string
	// Unheard are the commands that enrol the machines that there should be, and that were
	// never heard from.
	Unheard       []string
	UnheardCount  int
	ExpectedKnown bool
}

// fact is a name and a value; Class "warn" calls for attention.
type fact struct {
	Name, Text, Class string
	Time              time.Time
}

// shownRefused and shownUnheard are how many rows the page has at most of refused events, and of
// machines that were never heard from. The tables as CSV have all.
const (
	shownRefused = 50
	shownUnheard = 100
)

var errServicePast = mistake{"at", errors.New("the service is shown as it is now: leave the moment out")}

// buildService makes the page of the service itself.
func buildService(p *Page, r *request) (*content, error) {
	if r.past() {
		return nil, errServicePast
	}
	page := &servicePage{request: r, ExpectedKnown: p.Expected != nil}
	err := together(
		func() error {
			status, err := one[api.StatusAnswer](r.ctx, p, "status", api.StatusRequest{})
			page.Status = &status
			return err
		},
		func() error {
			var err error
			if page.Letters, page.LettersPartial, err = p.letters.read(r.ctx, p); err != nil {
				page.LettersError = err.Error()
			}
			return nil
		},
	)
	if err != nil {
		return nil, err
	}
	page.LettersCount = len(page.Letters)
	page.Letters = page.Letters[:min(len(page.Letters), shownRefused)]
	for i := range page.Letters {
		if l := &page.Letters[i]; l.Machine != "" {
			l.URL = r.to("/machines", l.Machine).URL()
		}
	}
	page.facts()
	if page.ExpectedKnown {
		names := unheard(p.Expected(), p.fleet)
		page.UnheardCount = len(names)
		for _, name := range names[:min(len(names), shownUnheard)] {
			page.Unheard = append(page.Unheard, command("rollcall enroll", "", name))
		}
	}
	return &content{Title: "Service", Template: "service", Data: page, Command: "rollcall status"}, nil
}

// unheard returns those of the machines that there should be that were never heard from.
func unheard(expected []string, f *fleet.Fleet) (names []string) {
	for _, name := range expected {
		if f.Machine(name) == nil {
			names = append(names, name)
		}
	}
	return names
}

// facts writes the status as names and values.
func (s *servicePage) facts() {
	a := s.Status
	s.completeness(a)
	for _, check := range a.Failing {
		s.add("Attention", check.Name+": "+check.State, true)
	}
	s.add("Machines", plural(a.Machines, "machine", "machines")+", "+number(a.Silent)+" silent", false)
	s.kept(a)
	s.instances(a)
	s.add("Version", a.Version, false)
	s.Fates = []fact{
		{Name: "applied", Text: number(int(a.Fates.Applied))},
		{Name: "superseded", Text: number(int(a.Fates.Superseded))},
		{Name: "dead-lettered", Text: number(int(a.Fates.DeadLettered))},
		{Name: "lost", Text: number(int(a.Fates.Lost)), Class: warn(a.Fates.Lost > 0)},
	}
}

// add adds a fact; bad: it calls for attention.
func (s *servicePage) add(name, text string, bad bool) {
	s.Facts = append(s.Facts, fact{Name: name, Text: text, Class: warn(bad)})
}

// instances adds which other processes there are.
func (s *servicePage) instances(a *api.StatusAnswer) {
	others := len(a.Instances) - 1
	switch {
	case others <= 0:
	case slices.ContainsFunc(a.Instances, func(i api.Instance) bool { return !i.Standby }):
		s.add("Instances", fmt.Sprintf("%d processes answer on these subjects; see rollcall status", others+1), true)
	default:
		differ := slices.ContainsFunc(a.Instances, func(i api.Instance) bool { return len(i.Differs) > 0 })
		s.add("Standby", plural(others, "process stands by", "processes stand by")+"; see rollcall status --all", differ)
	}
}

// completeness adds what may be missing from the roster, and what to do about it.
func (s *servicePage) completeness(a *api.StatusAnswer) {
	lag := "how far is unknown"
	if a.Lag != nil {
		lag = plural(int(*a.Lag), "event", "events") + " to go"
	}
	s.add("Caught up", yes(a.CaughtUp)+", "+lag, !a.CaughtUp)
	complete := yes(a.Complete)
	if !a.Complete {
		complete += ": " + strings.Join(a.Reasons, ", ")
	}
	s.add("Complete", complete, !a.Complete)
	if a.Unsettled > 0 {
		s.add("Unsettled", plural(a.Unsettled, "machine has", "machines have")+" not said since the loss who is on; a boot, shutdown or present of it settles that", true)
	}
	if !a.CompleteAfter.IsZero() {
		s.Facts = append(s.Facts, fact{Name: "Complete from", Text: "if nothing more is lost", Time: a.CompleteAfter})
	}
	if a.AcceptLoss > 0 {
		s.add("To accept the loss", fmt.Sprintf("start rollcall once with ROLLCALL_ACCEPT_LOSS=%d", a.AcceptLoss), false)
	}
	if a.Limited > 0 {
		s.add("Limited", "events of "+plural(a.Limited, "machine", "machines")+" were refused because a limit was reached", true)
	}
	if a.Missing > 0 {
		s.add("Missing", plural(int(a.Missing), "event", "events")+" of machines never arrived", true)
	}
	for _, source := range a.Sources {
		text := source.Source + ": "
		if source.Missing == 0 && source.Recreated == 0 {
			s.add("Source", text+"nothing missing", false)
			continue
		}
		text += plural(int(source.Missing), "event", "events") + " never arrived"
		if source.Recreated > 0 {
			text += "; created anew, so its end may be missing, too"
		}
		s.add("Source", text, source.Gap > 0 || source.Recreated > 0)
	}
}

// kept adds how far the service has read, and what it has written.
func (s *servicePage) kept(a *api.StatusAnswer) {
	s.add("Position", fmt.Sprintf("place %d, sequence %d of %s", a.Place, a.Sequence, a.Stream), false)
	if n := a.Snapshot; n != nil {
		s.Facts = append(s.Facts, fact{Name: "Snapshot", Text: fmt.Sprintf("place %d, %s", n.Place, size(n.Size)), Time: n.Written})
	} else {
		s.add("Snapshot", "none yet", false)
	}
	h := a.History
	if h == nil {
		s.add("History", "none is kept", false)
		return
	}
	text := fmt.Sprintf("%s ended, %s", plural(int(h.Sessions), "session", "sessions"), size(h.Size))
	if h.Behind {
		text += ", behind"
	}
	if h.Failing != "" {
		text += ", failing: " + h.Failing
	}
	s.add("History", text, h.Behind || h.Failing != "")
}

// warn is the class of a fact.
func warn(bad bool) string {
	if bad {
		return "warn"
	}
	return ""
}
