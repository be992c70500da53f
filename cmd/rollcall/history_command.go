package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/api"
)

type historyCmd struct {
	Glob    string   `arg:"" optional:"" name:"glob" complete:"machines" help:"Only sessions on this machine, or on those whose names match: * matches any text, ? one character, [ab] one of these. Quote it, or the shell expands it."`
	Machine []string `complete:"machines" placeholder:"MACHINE" sep:"none" help:"Only sessions on this machine. It can be repeated, up to 300 times."`
	User    string   `complete:"users" placeholder:"USER" help:"Only sessions of this user."`
	Remote  string   `placeholder:"REMOTE" help:"Only sessions from there, such as 10.0.0.7."`
	Service string   `placeholder:"SERVICE" help:"Only sessions of this service, such as sshd."`
	Match   bool     `short:"m" help:"GLOB, MACHINE, USER, REMOTE and SERVICE are parts, in upper or lower case."`
	Open    bool     `help:"Only sessions that have not ended."`
	Boots   bool     `help:"Print the boots and shutdowns of the machine, too, at most the newest 1000: lines whose user is (boot) or (shutdown). jsonl, csv and tsv have one more column, kind: session, boot or shutdown."`
	From    timeFlag `placeholder:"TIME" help:"Only sessions that were open then or later: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day means its beginning."`
	To      timeFlag `placeholder:"TIME" help:"Only sessions that began then or earlier. A day means its end."`
	Reverse bool     `short:"r" help:"Print the session that began first first, instead of the one that began last."`
	Limit   *uint32  `short:"n" placeholder:"N" help:"Print at most N sessions; boots count, too."`
	queryFlags
}

// Help is the text of "rollcall history --help" before the flags.
func (historyCmd) Help() string {
	return `Asks the running service for its history. Prints a line for each session, the latest first: when it began and ended, how long it lasted, and how it ended: with a logout, a boot or shutdown of the machine, a present that does not list it, or replaced by another user's session of the same name.

Examples:

    rollcall history --machine web1 -n 20
    rollcall history web1 --boots --from -7d
    rollcall history --user lane --from yesterday
    rollcall history 'web*' --from 'mon 10:00' --to 'mon 12:00' -o csv`
}

// Run asks for the sessions in a span of time and prints them.
func (c *historyCmd) Run(ctx context.Context, std streams) error {
	request, err := c.request()
	if err != nil {
		return err
	}
	ask, err := newAsker(std, "history", &c.askFlags)
	if err != nil {
		return err
	}
	defer ask.close()
	for _, name := range request.Names {
		if err := ask.machineKnown(ctx, name); err != nil {
			return err
		}
	}
	return c.resolved(ctx, ask, request, func() error { return c.print(ctx, ask, request) })
}

// resolved calls print once the machine and the user of a request are known; see
// [asker.named].
func (c *historyCmd) resolved(ctx context.Context, ask *asker, request *api.HistoryRequest, print func() error) error {
	about := func(asked *string, next func() error) func(string, bool) error {
		return func(name string, found bool) error {
			if *asked = name; found {
				ask.std.note("%s:", shown(name))
			}
			return next()
		}
	}
	ofUser := func() error {
		if request.User == "" || request.Parts {
			return print()
		}
		return ask.named(ctx, api.Users, request.User, &c.outputFlags, about(&request.User, print))
	}
	if request.Machine == "" {
		return ofUser()
	}
	known := func() error {
		if err := ask.machineKnown(ctx, request.Machine); err != nil {
			return err
		}
		return ofUser()
	}
	return ask.named(ctx, api.Machines, request.Machine, &c.outputFlags, about(&request.Machine, known))
}

// print prints the answer to a request.
func (c *historyCmd) print(ctx context.Context, ask *asker, request *api.HistoryRequest) error {
	view := historyView{&c.zoneFlags, c.width(ask.std.out) < narrow}
	list, err := newListing(ask.std, &c.outputFlags, &c.zoneFlags, view.columns(c.Boots))
	if err != nil {
		return err
	}
	p := &historyPrinter{historyCmd: c, std: ask.std, request: request, list: list, rows: historyRows{oldest: c.Reverse}}
	if err := ask.pages(ctx, "history", request, p.page); err != nil {
		return err
	}
	switch {
	case p.printed == 0:
		ask.summary(&c.outputFlags, "no sessions%s", c.filters(request))
	case p.more:
		ask.summary(&c.outputFlags, "%s; there are more: -n prints more", plural(p.printed, p.line()))
	}
	if p.rows.more {
		ask.summary(&c.outputFlags, "boots and shutdowns before %s are not shown: ask for them with --to", c.time(p.rows.first))
	}
	return nil
}

// historyPrinter prints the pages of a history.
type historyPrinter struct {
	*historyCmd
	std     streams
	request *api.HistoryRequest
	list    *listing[historyRow]
	rows    historyRows
	printed int
	more    bool // than the limit allows
}

// page prints a page. It returns errEnough once as many lines are printed as may be.
func (p *historyPrinter) page(page []byte) error {
	a, err := api.Decode[api.HistoryAnswer](page)
	if err != nil {
		return err
	}
	n, rest := len(a.Sessions), 0
	if p.Output == "json" {
		err = p.std.printPage(page)
	} else {
		n, rest, err = p.printRows(p.rows.page(&a))
	}
	if p.printed += n; err != nil || p.Limit == nil {
		return err
	}
	if left := int(*p.Limit) - p.printed; left > 0 {
		*p.request.Limit = uint32(left) // of the next page
		return nil
	}
	p.more = rest > 0 || a.Cursor != ""
	return errEnough
}

// printRows prints rows, and returns how many. The limit may leave a rest.
func (p *historyPrinter) printRows(rows []historyRow) (n, rest int, err error) {
	n = len(rows)
	if p.Limit != nil {
		n = min(n, int(*p.Limit)-p.printed)
	}
	return n, len(rows) - n, p.list.print(rows[:n])
}

// line returns what a line is.
func (p *historyPrinter) line() string {
	if p.Boots {
		return "line"
	}
	return ofSession
}

// filters describes what was asked for.
func (c *historyCmd) filters(request *api.HistoryRequest) string {
	given := []string{"", c.Glob, "--user", request.User, "--remote", c.Remote, "--service", c.Service, "--from", string(c.From), "--to", string(c.To)}
	for _, name := range c.Machine {
		given = append(given, "--machine", name)
	}
	if c.Open {
		given = append(given, "--open", " ")
	}
	return filters(given...)
}

// request returns the request.
func (c *historyCmd) request() (*api.HistoryRequest, error) {
	r := &api.HistoryRequest{
		Machines: c.Glob, User: c.User, Remote: c.Remote, Service: c.Service, Parts: c.Match, Open: c.Open, Marks: c.Boots,
	}
	if err := c.setMachines(r); err != nil {
		return nil, err
	}
	if c.Boots && r.Machine == "" && len(r.Names) == 0 {
		return nil, usageError{errors.New("--boots: name the machine, or several by --machine: rollcall history web1 --boots")}
	}
	if c.Reverse {
		r.Order = api.Oldest
	}
	if c.Limit != nil {
		if *c.Limit == 0 {
			return nil, usageError{fmt.Errorf("--limit=0: use 1 or more")}
		}
		r.Limit = new(*c.Limit)
	}
	var err error
	r.From, r.To, err = c.span(c.From, c.To)
	return r, err
}

// setMachines sets the machines in the request: a name or a glob as the argument, or
// several names as flags. An unknown name is an error.
func (c *historyCmd) setMachines(r *api.HistoryRequest) error {
	isName := c.Glob != "" && !c.Match && !api.IsPattern(c.Glob)
	switch {
	case c.Glob != "" && len(c.Machine) > 0 && (isName || c.Match):
		return usageError{fmt.Errorf("%s and --machine: give one of them, or --machine several times", quoteUnprintable(c.Glob))}
	case c.Match && len(c.Machine) > 1:
		return usageError{errors.New("--match: give one part of the machines' names")}
	case c.Match && len(c.Machine) == 1:
		r.Machines = c.Machine[0]
	case isName:
		r.Machine, r.Machines = c.Glob, ""
	case len(c.Machine) == 1:
		r.Machine = c.Machine[0]
	default:
		r.Names = c.Machine
	}
	return nil
}

// historyView formats times of a history.
type historyView struct {
	*zoneFlags
	minutes bool
}

// narrow is the width in columns below which times have no seconds, to leave room for names.
const narrow = 100

// shown formats a time.
func (v *historyView) shown(t time.Time) string {
	if v.minutes {
		return v.minute(t)
	}
	return v.time(t)
}
