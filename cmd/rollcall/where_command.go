package main

import (
	"context"
	"fmt"

	"rollcall/internal/api"
)

type whereCmd struct {
	User string   `arg:"" help:"The user's name."`
	At   timeFlag `placeholder:"TIME" help:"Print where the user was logged in then: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day, a minute or a second means its end."`
	queryFlags
}

// Help is the text of "rollcall where --help" before the flags.
func (whereCmd) Help() string {
	return `Asks the running service. Prints a line for each open session of the user. On a silent machine it is the last known state.`
}

// Run asks where a user is logged in, and prints it.
func (c *whereCmd) Run(ctx context.Context, std streams) error {
	at, err := c.end("--at", c.At)
	if err != nil {
		return err
	}
	request := api.UserRequest{User: c.User, Moment: api.Moment{At: at}}
	return c.ask(ctx, std, "where", "user", request, func(page []byte) error {
		a, err := api.Decode[api.UserAnswer](page)
		if err != nil {
			return err
		}
		if len(a.Sessions) == 0 && a.Past != nil {
			_, err := fmt.Fprintf(std.out, "%s: not logged in anywhere at %s\n", printable(a.User), c.time(a.Past.At))
			return err
		}
		if len(a.Sessions) == 0 {
			_, err := fmt.Fprintf(std.out, "%s: not logged in anywhere\n", printable(a.User))
			return err
		}
		t := newTable("MACHINE", "SINCE", "SESSION", "TERMINAL", "REMOTE", "SERVICE", "NOTE")
		for _, s := range a.Sessions {
			t.add(s.Machine, c.time(s.Since), s.ID, s.Terminal, s.Remote, s.Service, note(s.Silent))
		}
		return t.write(std.out, width(std.out))
	})
}

// note is the cell that marks a silent machine.
func note(silent bool) string {
	if silent {
		return "silent"
	}
	return ""
}
