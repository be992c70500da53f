package main

import (
	"context"
	"fmt"

	"rollcall/internal/api"
)

type whoCmd struct {
	Machine string   `arg:"" help:"The machine's name."`
	At      timeFlag `placeholder:"TIME" help:"Print who was logged in then: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day, a minute or a second means its end."`
	queryFlags
}

// Help is the text of "rollcall who --help" before the flags.
func (whoCmd) Help() string {
	return `Asks the running service. Prints when the machine was last heard from, and a line for each open session. A machine that the service does not know is an error.`
}

// Run asks who is logged in on a machine, and prints it.
func (c *whoCmd) Run(ctx context.Context, std streams) error {
	at, err := c.end("--at", c.At)
	if err != nil {
		return err
	}
	request := api.MachineRequest{Machine: c.Machine, Moment: api.Moment{At: at}}
	first := true
	return c.ask(ctx, std, "who", "machine", request, func(page []byte) error {
		a, err := api.Decode[api.MachineAnswer](page)
		if err != nil {
			return err
		}
		if first {
			first = false
			fmt.Fprintf(std.out, "%s: %s\n", printable(a.Machine), c.summary(&a))
			c.missing(std, &a)
		}
		t := newTable("USER", "SINCE", "SESSION", "TERMINAL", "REMOTE", "SERVICE")
		for _, s := range a.Sessions {
			t.add(s.User, c.time(s.Since), s.ID, s.Terminal, s.Remote, s.Service)
		}
		return t.write(std.out, width(std.out))
	})
}

// missing tells what never arrived from the machine.
func (c *whoCmd) missing(std streams, a *api.MachineAnswer) {
	if a.Missing > 0 {
		fmt.Fprintf(std.err, "rollcall: who: events of %s that never arrived: %d\n", printable(a.Machine), a.Missing)
	}
	for _, o := range a.Origins {
		if o.Reused > 0 {
			fmt.Fprintf(std.err, "rollcall: who: events of origin %s with numbers of earlier ones: %d: the folder of the agent was restored from a copy, or two agents use copies of it\n",
				printable(o.Origin), o.Reused)
		}
	}
}

// summary describes the machine itself.
func (c *whoCmd) summary(a *api.MachineAnswer) string {
	nobody, heard := len(a.Sessions) == 0, "last heard "+c.time(a.Heard)
	switch {
	case a.Past != nil && nobody:
		return "nobody was logged in at " + c.time(a.Past.At)
	case a.Past != nil:
		return "at " + c.time(a.Past.At)
	case a.Silent && nobody:
		return "silent, " + heard + "; nobody was logged in then"
	case a.Silent:
		return "silent, " + heard + "; these are the last known:"
	case nobody:
		return "nobody is logged in; " + heard
	}
	return heard
}
