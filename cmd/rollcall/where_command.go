package main

import (
	"context"
	"fmt"

	"rollcall/internal/api"
)

type whereCmd struct {
	User  string   `arg:"" complete:"users" help:"A user's name, or a glob: * matches any text, ? one character, [ab] one of these. Quote it, or the shell expands it."`
	Match bool     `short:"m" help:"USER is a part of a name, in upper or lower case; print all that match."`
	At    timeFlag `placeholder:"TIME" help:"Print where the user was logged in then: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day, a minute or a second means its end."`
	queryFlags
}

// Help is the text of "rollcall where --help" before the flags.
func (whereCmd) Help() string {
	return `Asks the running service. Prints a line for each open session of the user. On a silent machine it is the last known state. An exact name always wins. If there is none, a terminal shows the one user whose name contains it; in a pipe, or if there are several, it is an error.

Examples:

    rollcall where lane
    rollcall where -m anna
    rollcall where lane --at 'mon 10:17' -o jsonl`
}

// Run asks where a user is logged in, and prints it.
func (c *whereCmd) Run(ctx context.Context, std streams) error {
	at, err := c.end(c.At)
	if err != nil {
		return err
	}
	ask, err := newAsker(std, "where", &c.askFlags)
	if err != nil {
		return err
	}
	defer ask.close()
	moment := api.Moment{At: at}
	if c.Match || api.IsPattern(c.User) {
		return c.several(ctx, ask, &api.SessionsRequest{Users: c.User, Parts: c.Match, Moment: moment})
	}
	return ask.named(ctx, api.Users, c.User, &c.outputFlags, func(name string, _ bool) error {
		return c.one(ctx, ask, &api.UserRequest{User: name, Moment: moment})
	})
}

// one prints where one user is logged in.
func (c *whereCmd) one(ctx context.Context, ask *asker, request *api.UserRequest) error {
	list, err := newListing(ask.std, &c.outputFlags, &c.zoneFlags, sessionColumns(machineColumn, userColumn, "USER"))
	if err != nil {
		return err
	}
	var rows []sessionRow
	var past *api.Past
	err = ask.pages(ctx, "user", request, decoded(ask.std, &c.outputFlags, func(a *api.UserAnswer) error {
		past = a.Past
		for _, s := range a.Sessions {
			rows = append(rows, sessionRow{s.Machine, s.Silent, a.Past != nil, s.Session})
		}
		return nil
	}))
	if err != nil || c.Output == "json" {
		return err
	}
	ask.summary(&c.outputFlags, "%s: %s", shown(request.User), c.summary(ask.std, rows, past))
	return list.print(rows)
}

// summary describes where a user is.
func (c *whereCmd) summary(std streams, rows []sessionRow, past *api.Past) string {
	machines := make(map[string]bool)
	for i := range rows {
		machines[rows[i].machine] = true
	}
	text := "on " + plural(len(machines), "machine")
	switch {
	case len(rows) == 0:
		text = "not logged in anywhere"
	case len(machines) > 1:
		text = warned(std.out, text)
	}
	if past != nil {
		text += " at " + c.time(past.At)
	}
	return text
}

// several prints where the users are that match.
func (c *whereCmd) several(ctx context.Context, ask *asker, request *api.SessionsRequest) error {
	counts, err := ask.printSessions(ctx, request, &c.queryFlags, sessionColumns(machineColumn, userColumn))
	if err == nil {
		text := fmt.Sprintf("%s on %s", plural(len(counts.users), "user"), plural(counts.inUse, "machine"))
		if counts.sessions == 0 {
			text = "no sessions of users" + filters("", c.User, "--at", string(c.At))
		}
		ask.summary(&c.outputFlags, "%s", text)
	}
	return err
}
