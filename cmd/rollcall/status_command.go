package main

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/config"
)

type statusCmd struct {
	Output string `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"text, or json: the service's answer as it is."`
	All    bool   `help:"Instead of the status, list every process on these subjects: which one is active, which stand by, and in what they differ. It takes two seconds."`
	askFlags
}

// Help is the text of "rollcall status --help" before the flags.
func (statusCmd) Help() string {
	return `Asks the running service for its status. It also answers while it replays the stream at its start.

Examples:

    rollcall status
    rollcall status --all
    rollcall status --output json`
}

// Run asks the service for its status and prints it.
func (c *statusCmd) Run(ctx context.Context, std streams) error {
	ask, err := newAsker(std, "status", &c.askFlags)
	if err != nil {
		return err
	}
	defer ask.close()
	if c.All {
		return c.all(ctx, std, ask)
	}
	return ask.pages(ctx, "status", api.StatusRequest{}, func(page []byte) error {
		if c.Output == "json" {
			return std.printPage(page)
		}
		a, err := api.Decode[api.StatusAnswer](page)
		if err != nil {
			return err
		}
		f := c.facts(&a)
		return f.write(std.out, width(std.out))
	})
}

// facts returns what a status says.
func (c *statusCmd) facts(a *api.StatusAnswer) (f facts) {
	f.add("version", "%s", a.Version)
	f.add("stream", "%s", a.Stream)
	f.add("position", "place %d, sequence %d", a.Place, a.Sequence)
	f.add("caught up", "%s", caughtUp(a))
	f.add("complete", "%s", strings.Join(append([]string{yes(a.Complete)}, a.Reasons...), ", "))
	if a.Unsettled > 0 {
		f.add("unsettled", "machines that have sent no boot, shutdown or present%s: %d", c.datedAfter(a.SettlesAfter), a.Unsettled)
	}
	if a.CompleteAfter.After(time.Now()) {
		f.add("complete from", "%s, if nothing more is lost and no machine is still unsettled", c.time(a.CompleteAfter))
	}
	if a.AcceptLoss > 0 {
		f.add("accept", "ROLLCALL_ACCEPT_LOSS=%d", a.AcceptLoss)
	}
	f.add("machines", "%d, silent %d", a.Machines, a.Silent)
	if a.Limited > 0 {
		f.add("limited", "machines with events refused because a limit was reached: %d", a.Limited)
	}
	if a.Missing > 0 {
		f.add("missing", "events that never arrived: %d", a.Missing)
	}
	for _, s := range a.Sources {
		f.add("source", "%s", describeSource(&s))
	}
	f.add("users", "%d, on several machines %d", a.Users, a.OnSeveral)
	f.add("sessions", "%d", a.Sessions)
	f.add("fates", "applied %d, superseded %d, dead_lettered %d, lost %d",
		a.Fates.Applied, a.Fates.Superseded, a.Fates.DeadLettered, a.Fates.Lost)
	if s := a.Snapshot; s != nil {
		f.add("snapshot", "place %d, written %s, %d bytes", s.Place, c.time(s.Written), s.Size)
		f.add("state digest", "%s", s.StateDigest)
	} else {
		f.add("snapshot", "none yet")
	}
	f.add("history", "%s", c.history(a.History))
	for _, check := range a.Failing {
		f.add("attention", "%s: %s", check.Name, c.times(check.State))
	}
	for i, other := range a.Instances {
		f.add("instance", "%s", c.instance(&other, &a.Instances[0], i == 0))
	}
	return f
}

// describeSource describes what was read of a source.
func describeSource(s *api.Source) string {
	text := fmt.Sprintf("%s, %d events missing", quoteUnprintable(s.Source), s.Missing)
	if s.Gap > 0 {
		text += fmt.Sprintf(", the last before place %d", s.Gap)
	}
	if s.Recreated > 0 {
		text += fmt.Sprintf(", created anew before place %d: its end may be missing", s.Recreated)
	}
	return text
}

// history describes the history.
func (c *statusCmd) history(h *api.HistoryStatus) string {
	if h == nil {
		return "none is kept"
	}
	text := fmt.Sprintf("place %d, %d sessions ended, %d bytes", h.Place, h.Sessions, h.Size)
	if !h.KeptFrom.IsZero() {
		text += ", kept from " + c.time(h.KeptFrom)
	}
	if h.Behind {
		text += ", behind"
	}
	if h.Failing != "" {
		text += ", failing: " + quoteUnprintable(h.Failing)
	}
	return text
}

func caughtUp(a *api.StatusAnswer) string {
	if a.Lag == nil {
		return yes(a.CaughtUp) + ", lag unknown"
	}
	return fmt.Sprintf("%s, %d messages to go", yes(a.CaughtUp), *a.Lag)
}

// moments matches the times in the text of a check.
var moments = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// times formats the times in the text of a check like all others of the status.
func (c *statusCmd) times(state string) string {
	return moments.ReplaceAllStringFunc(state, func(moment string) string {
		t, err := time.Parse(time.RFC3339, moment)
		if err != nil {
			return moment
		}
		return c.time(t)
	})
}

// all lists every process on these subjects.
func (c *statusCmd) all(ctx context.Context, std streams, ask *asker) error {
	if err := ask.connect(ctx); err != nil {
		return err
	}
	answers, instances, err := client.Instances(ask.asking, ask.conn, ask.cfg.Subjects())
	if err != nil {
		return unanswered("status", err, ask.cfg)
	}
	if c.Output == "json" {
		for _, answer := range answers {
			if err := std.printPage(answer); err != nil {
				return err
			}
		}
		return nil
	}
	var f facts
	for i := range instances {
		name, text := c.member(&instances[i])
		f.add(name, "%s", text)
	}
	return f.write(std.out, width(std.out))
}

// member describes one of all processes.
func (c *statusCmd) member(i *api.Instance) (name, text string) {
	name = "stands by"
	switch {
	case !i.Standby:
		name = "alone"
	case i.Active:
		name = "active"
	}
	text = fmt.Sprintf("%s, place %d of %s", i.ID, i.Place, i.Stream)
	if !i.CaughtUp {
		text += ", replaying"
	}
	text += fmt.Sprintf(", offset %d, settings %s, version %s, started %s", i.Offset, i.Settings, i.Version, c.time(i.Started))
	if len(i.Differs) > 0 {
		text += ", differs: " + c.times(strings.Join(i.Differs, "; "))
	}
	return name, text
}

// instance describes one of several processes that answer questions.
func (c *statusCmd) instance(i, this *api.Instance, answers bool) string {
	which := "another, with the same settings: "
	switch {
	case answers:
		which = "the one that answers: "
	case i.Standby && this.Standby && len(i.Differs) > 0:
		which = "stands by, but differs (see --all): "
	case i.Standby && this.Standby:
		which = "stands by: "
	case i.Settings != this.Settings:
		which = "another, with different settings: "
	}
	return fmt.Sprintf("%s%s, started %s, place %d of %s", which, i.ID, c.time(i.Started), i.Place, i.Stream)
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return "no"
}

// facts are names and values, printed one per line.
type facts [][2]string

func (f *facts) add(name, format string, args ...any) {
	*f = append(*f, [2]string{name, printable(fmt.Sprintf(format, args...))})
}

// write writes the facts. A value that is too long for the width is continued below; words
// are never cut.
func (f facts) write(out io.Writer, width int) error {
	column := 0
	for _, fact := range f {
		column = max(column, len(fact[0])+gap)
	}
	var b strings.Builder
	for _, fact := range f {
		name := fact[0]
		for _, line := range config.Wrap(fact[1], width-column) {
			fmt.Fprintf(&b, "%-*s%s\n", column, name, line)
			name = ""
		}
	}
	_, err := io.WriteString(out, b.String())
	return err
}
