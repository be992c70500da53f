package web

import (
	"fmt"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/web/fleet"
)

// servicePage is the data of the page of the service itself.
type servicePage struct {
	*request
	Status  *api.StatusAnswer
	Facts   []fact
	Fates   []fact
	Letters []refused
	// LettersPartial says that there are more that have not been read yet.
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

// shownUnheard is how many of the machines never heard from are named.
const shownUnheard = 100

// buildService makes the page of the service itself.
func buildService(p *Page, r *request) (*content, error) {
	if r.past() {
		return nil, mistake{"at", fmt.Errorf("the service is shown as it is now: leave the moment out")}
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
	for i := range page.Letters {
		if l := &page.Letters[i]; l.Machine != "" {
			l.URL = r.to("/machines", l.Machine).URL()
		}
	}
	page.facts()
	if page.ExpectedKnown {
		page.unheard(p.Expected(), p.fleet)
	}
	return &content{Title: "Service", Template: "service", Data: page, Command: "rollcall status"}, nil
}

// unheard lists those of the machines that there should be that were never heard from.
func (s *servicePage) unheard(expected []string, f *fleet.Fleet) {
	for _, name := range expected {
		if f.Machine(name) != nil {
			continue
		}
		if s.UnheardCount++; len(s.Unheard) < shownUnheard {
			s.Unheard = append(s.Unheard, command("rollcall enroll", "", name))
		}
	}
}

// facts writes the status as names and values.
func (s *servicePage) facts() {
	a := s.Status
	add := func(name, text, class string) { s.Facts = append(s.Facts, fact{Name: name, Text: text, Class: class}) }
	warn := func(bad bool) string {
		if bad {
			return "warn"
		}
		return ""
	}
	lag := "how far is unknown"
	if a.Lag != nil {
		lag = plural(int(*a.Lag), "event", "events") + " to go"
	}
	add("Caught up", yes(a.CaughtUp)+", "+lag, warn(!a.CaughtUp))
	complete := yes(a.Complete)
	if !a.Complete {
		complete += ": " + strings.Join(a.Reasons, ", ")
	}
	add("Complete", complete, warn(!a.Complete))
	if a.Unsettled > 0 {
		add("Unsettled", plural(a.Unsettled, "machine has", "machines have")+" not said since the loss who is on; a boot, shutdown or present of it settles that", "warn")
	}
	if !a.CompleteAfter.IsZero() {
		s.Facts = append(s.Facts, fact{Name: "Complete from", Text: "if nothing more is lost", Time: a.CompleteAfter})
	}
	if a.AcceptLoss > 0 {
		add("To accept the loss", fmt.Sprintf("start rollcall once with ROLLCALL_ACCEPT_LOSS=%d", a.AcceptLoss), "")
	}
	if a.Limited > 0 {
		add("Limited", "events of "+plural(a.Limited, "machine", "machines")+" were refused because a limit was reached", "warn")
	}
	if a.Missing > 0 {
		add("Missing", plural(int(a.Missing), "event", "events")+" of machines never arrived", "warn")
	}
	for _, check := range a.Failing {
		add("Attention", check.Name+": "+check.State, "warn")
	}
	add("Machines", plural(a.Machines, "machine", "machines")+", "+number(a.Silent)+" silent", "")
	add("Position", fmt.Sprintf("place %d, sequence %d of %s", a.Place, a.Sequence, a.Stream), "")
	if n := a.Snapshot; n != nil {
		s.Facts = append(s.Facts, fact{Name: "Snapshot", Text: fmt.Sprintf("place %d, %s", n.Place, size(n.Size)), Time: n.Written})
	} else {
		add("Snapshot", "none yet", "")
	}
	if h := a.History; h != nil {
		text := fmt.Sprintf("%s ended, %s", plural(int(h.Sessions), "session", "sessions"), size(h.Size))
		if h.Behind {
			text += ", behind"
		}
		if h.Failing != "" {
			text += ", failing: " + h.Failing
		}
		add("History", text, warn(h.Behind || h.Failing != ""))
	} else {
		add("History", "none is kept", "")
	}
	if len(a.Instances) > 1 {
		add("Instances", fmt.Sprintf("%d processes answer on these subjects; see rollcall status", len(a.Instances)), "warn")
	}
	add("Version", a.Version, "")
	for _, f := range []struct {
		name  string
		count uint64
		class string
	}{
		{"applied", a.Fates.Applied, ""},
		{"superseded", a.Fates.Superseded, ""},
		{"dead-lettered", a.Fates.DeadLettered, ""},
		{"lost", a.Fates.Lost, warn(a.Fates.Lost > 0)},
	} {
		s.Fates = append(s.Fates, fact{Name: f.name, Text: number(int(f.count)), Class: f.class})
	}
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// size formats a number of bytes.
func size(n int64) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}

// add counts a letter.
func (l *letters) add(d client.DeadLetter) {
	key := [2]string{d.Machine, d.Reason}
	k := l.kinds[key]
	if k == nil {
		if len(l.kinds) >= maxRefused {
			return
		}
		k = &refused{Machine: d.Machine, Reason: d.Reason}
		l.kinds[key] = k
	}
	k.Count++
	k.Detail = d.Detail
	if at, err := time.Parse(time.RFC3339Nano, d.Receipt); err == nil && at.After(k.Last) {
		k.Last = at
	}
}
