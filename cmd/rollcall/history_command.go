package main

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"rollcall/internal/api"
)

type historyCmd struct {
	Machines string   `arg:"" optional:"" name:"glob" complete:"machines" help:"Only sessions on these machines: * matches any text, ? one character, [ab] one of these. Quote it, or the shell expands it."`
	Machine  []string `complete:"machines" placeholder:"MACHINE" sep:"none" help:"Only sessions on this machine. It can be repeated, up to 300 times."`
	User     string   `complete:"users" placeholder:"USER" help:"Only sessions of this user."`
	Remote   string   `placeholder:"REMOTE" help:"Only sessions from there, such as 10.0.0.7."`
	Service  string   `placeholder:"SERVICE" help:"Only sessions of this service, such as sshd."`
	Match    bool     `short:"m" help:"GLOB, MACHINE, USER, REMOTE and SERVICE are parts, in upper or lower case."`
	Open     bool     `help:"Only sessions that have not ended."`
	From     timeFlag `placeholder:"TIME" help:"Only sessions that were open then or later: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day means its beginning."`
	To       timeFlag `placeholder:"TIME" help:"Only sessions that began then or earlier. A day means its end."`
	Reverse  bool     `short:"r" help:"Print the session that began first first, instead of the one that began last."`
	Limit    *uint32  `short:"n" placeholder:"N" help:"Print at most N sessions."`
	queryFlags
}

// Help is the text of "rollcall history --help" before the flags.
func (historyCmd) Help() string {
	return `Asks the running service for its history. Prints a line for each session, the latest first: when it began and ended, how long it lasted, and how it ended: with a logout, a boot or shutdown of the machine, a present that does not list it, or replaced by another user's session of the same name.

Examples:

    rollcall history --machine web1 -n 20
    rollcall history --user lane --from yesterday
    rollcall history 'web*' --from 'mon 10:00' --to 'mon 12:00' -o csv`
}

// Run asks for the sessions in a span of time and prints them.
func (c *historyCmd) Run(ctx context.Context, std streams) error {
	request, err := c.request()
	if err != nil {
		return err
	}
	ctx, ask, err := newAsker(ctx, std, "history", &c.askFlags)
	if err != nil {
		return err
	}
	defer ask.close()
	if err = c.print(ctx, ask, request); !isUnknown(err) {
		return err
	}
	if err := c.resolve(ctx, ask, request, err); err != nil {
		return err
	}
	return c.print(ctx, ask, request)
}

// resolve replaces the machine or user that the service does not know by the one whose
// name contains it, as "rollcall who" does.
func (c *historyCmd) resolve(ctx context.Context, ask *asker, request *api.HistoryRequest, refused error) (err error) {
	kind, name := api.Users, &request.User
	if request.Machine != "" {
		if known, err := ask.knowsMachine(ctx, request.Machine); err != nil {
			return err
		} else if !known {
			kind, name = api.Machines, &request.Machine
		}
	}
	if *name, err = ask.resolve(ctx, kind, *name, &c.outputFlags, refused); err == nil {
		ask.std.note("%s:", printable(*name))
	}
	return err
}

// print prints the answer to a request.
func (c *historyCmd) print(ctx context.Context, ask *asker, request *api.HistoryRequest) error {
	view := historyView{&c.zoneFlags, c.width(ask.std.out) < narrow}
	list, err := newListing(ask.std, &c.outputFlags, &c.zoneFlags, view.columns())
	if err != nil {
		return err
	}
	sessions := uint32(0)
	err = ask.pages(ctx, "history", request, func(page []byte) error {
		a, err := api.Decode[api.HistoryAnswer](page)
		if err != nil {
			return err
		}
		if sessions += uint32(len(a.Sessions)); c.Output == "json" {
			err = ask.std.printPage(page)
		} else {
			err = list.print(a.Sessions)
		}
		if err != nil || c.Limit == nil {
			return err
		}
		if sessions >= *c.Limit {
			return errEnough
		}
		*request.Limit = *c.Limit - sessions // of the next page
		return nil
	})
	if err == nil && list.rows == 0 && c.Output == "text" {
		ask.std.note("no sessions%s", filters("", c.Machines, "--machine", strings.Join(c.Machine, " --machine "), "--user", c.User,
			"--remote", c.Remote, "--service", c.Service, "--from", string(c.From), "--to", string(c.To)))
	}
	return err
}

// request returns the request.
func (c *historyCmd) request() (*api.HistoryRequest, error) {
	r := &api.HistoryRequest{
		Machines: c.Machines, User: c.User, Remote: c.Remote, Service: c.Service, Parts: c.Match, Open: c.Open,
	}
	switch len(c.Machine) {
	case 0:
	case 1:
		r.Machine = c.Machine[0] // an unknown one is an error
	default:
		r.Names = c.Machine
	}
	if c.Match && len(c.Machine) > 0 {
		if len(c.Machine) > 1 || c.Machines != "" {
			return nil, usageError{fmt.Errorf("--match: give one part of the machines' names")}
		}
		r.Machine, r.Machines = "", c.Machine[0]
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
	if r.From, err = c.begin("--from", c.From); err == nil {
		r.To, err = c.end("--to", c.To)
	}
	return r, err
}

// historyView formats times of a history.
type historyView struct {
	*zoneFlags
	minutes bool
}

// columns are the columns of a history.
func (v *historyView) columns() []column[api.PastStay] {
	return []column[api.PastStay]{
		{
			field: "user", title: "USER", value: func(s *api.PastStay) any { return s.User },
			cell: func(s *api.PastStay) string { return cmp.Or(s.User, "(unknown)") },
		},
		{field: "machine", title: "MACHINE", value: func(s *api.PastStay) any { return s.Machine }},
		{field: "since", title: "SINCE", value: func(s *api.PastStay) any { return s.Since }, cell: v.since},
		{field: "ended", title: "UNTIL", value: func(s *api.PastStay) any { return s.Ended }, cell: v.until},
		{title: "FOR", cell: lasted, spare: true}, // UNTIL tells it too
		{field: "how", title: "END", value: func(s *api.PastStay) any { return s.How }},
		{field: "remote", title: "REMOTE", value: func(s *api.PastStay) any { return s.Remote }},
		{field: "terminal", value: func(s *api.PastStay) any { return s.Terminal }},
		{field: "service", value: func(s *api.PastStay) any { return s.Service }},
		{field: "session", value: func(s *api.PastStay) any { return s.ID }},
	}
}

// lasted returns how long a session lasted; "" while it is open.
func lasted(s *api.PastStay) string {
	if s.Ended.IsZero() || s.SinceUnknown {
		return ""
	}
	return span(s.Ended.Sub(s.Since))
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

// since returns when a session began.
func (v *historyView) since(s *api.PastStay) string {
	if s.SinceUnknown {
		return "unknown"
	}
	return v.shown(s.Since)
}

// until returns when a session ended: the time of day if that was on the day on which it
// began; "" while it is open.
func (v *historyView) until(s *api.PastStay) string {
	if s.Ended.IsZero() {
		return ""
	}
	const day = len(time.DateOnly)
	until := v.shown(s.Ended)
	if !s.SinceUnknown && v.shown(s.Since)[:day] == until[:day] {
		return until[day+1:]
	}
	return until
}
