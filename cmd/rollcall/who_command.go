package main

import (
	"context"
	"fmt"

	"rollcall/internal/api"
)

type whoCmd struct {
	Machine string   `arg:"" optional:"" complete:"machines" help:"A machine's name, or a glob: * matches any text, ? one character, [ab] one of these. Quote it, or the shell expands it. Without it: everybody."`
	Match   bool     `short:"m" help:"MACHINE and the other names are parts of names, in upper or lower case; print all that match."`
	User    string   `complete:"users" placeholder:"USER" help:"Only sessions of this user."`
	Remote  string   `placeholder:"REMOTE" help:"Only sessions from there, such as 10.0.0.7."`
	Service string   `placeholder:"SERVICE" help:"Only sessions of this service, such as sshd."`
	Session string   `placeholder:"ID" help:"Only the session with this id."`
	At      timeFlag `placeholder:"TIME" help:"Print who was logged in then: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day, a minute or a second means its end."`
	queryFlags
}

// Help is the text of "rollcall who --help" before the flags.
func (whoCmd) Help() string {
	return `Asks the running service. Prints a line for each open session of a machine, below when it was last heard from; or those of several machines, or of all. An exact name always wins. If there is none, a terminal shows the one machine whose name contains it; in a pipe, or if there are several, it is an error.

Examples:

    rollcall who web1
    rollcall who 'web*' --at 'yesterday 10:17'
    rollcall who -m db --remote 10.0.
    rollcall who -o csv --fields user,machine,since`
}

// Run asks who is logged in, and prints it.
func (c *whoCmd) Run(ctx context.Context, std streams) error {
	at, err := c.end(c.At)
	if err != nil {
		return err
	}
	ask, err := newAsker(std, "who", &c.askFlags)
	if err != nil {
		return err
	}
	defer ask.close()
	all := api.SessionsRequest{
		User: c.User, Remote: c.Remote, Service: c.Service, ID: c.Session, Parts: c.Match, Moment: api.Moment{At: at},
	}
	if c.Machine == "" || c.Match || api.IsPattern(c.Machine) {
		all.Machines = c.Machine
		return c.several(ctx, ask, &all)
	}
	return ask.named(ctx, api.Machines, c.Machine, &c.outputFlags, func(name string, _ bool) error {
		if !c.filtered() {
			return c.one(ctx, ask, &api.MachineRequest{Machine: name, Moment: all.Moment})
		}
		if err := ask.machineKnown(ctx, name); err != nil {
			return err
		}
		all.Names = []string{name}
		return c.several(ctx, ask, &all)
	})
}

// filtered reports whether only some of the sessions of a machine are asked for.
func (c *whoCmd) filtered() bool { return c.User+c.Remote+c.Service+c.Session != "" }

// one prints who is logged in on one machine.
func (c *whoCmd) one(ctx context.Context, ask *asker, request *api.MachineRequest) error {
	list, err := newListing(ask.std, &c.outputFlags, &c.zoneFlags, sessionColumns(userColumn, machineColumn, "MACHINE", "NOTE"))
	if err != nil {
		return err
	}
	first := true
	err = ask.pages(ctx, "machine", request, decoded(ask.std, &c.outputFlags, func(a *api.MachineAnswer) error {
		if first {
			ask.summary(&c.outputFlags, "%s: %s", shown(a.Machine), c.summary(ask.std, a))
			c.missing(ask.std, a)
		}
		first = false
		return list.print(sessionRows([]api.MachineSessions{{Name: a.Machine, Silent: a.Silent, Sessions: a.Sessions}}, a.Past != nil))
	}))
	return err
}

// several prints who is logged in on several machines. If the service does not know the
// user, one whose name contains the text is looked for.
func (c *whoCmd) several(ctx context.Context, ask *asker, request *api.SessionsRequest) error {
	print := func() error {
		counts, err := ask.printSessions(ctx, request, &c.queryFlags, sessionColumns(userColumn, machineColumn))
		if err == nil {
			ask.summary(&c.outputFlags, "%s", c.total(counts))
		}
		return err
	}
	if request.User == "" || c.Match {
		return print()
	}
	return ask.named(ctx, api.Users, request.User, &c.outputFlags, func(name string, found bool) error {
		request.User = name
		if found {
			ask.std.note("%s:", shown(name))
		}
		return print()
	})
}

// total describes a list of sessions.
func (c *whoCmd) total(t *tally) string {
	switch {
	case c.filtered() && t.sessions == 0:
		return "no sessions" + filters("", c.Machine, "--user", c.User, "--remote", c.Remote, "--service", c.Service, "--session", c.Session, "--at", string(c.At))
	case c.filtered():
		return fmt.Sprintf("%s of %s on %s", plural(t.sessions, "session"), plural(len(t.users), "user"), plural(t.inUse, "machine"))
	}
	return t.fleet(c.Machine)
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
func (c *whoCmd) summary(std streams, a *api.MachineAnswer) string {
	nobody, heard := len(a.Sessions) == 0, "last heard "+c.time(a.Heard)
	silent := warned(std.out, "silent")
	switch {
	case a.Past != nil && nobody:
		return "nobody was logged in at " + c.time(a.Past.At)
	case a.Past != nil:
		return "at " + c.time(a.Past.At)
	case a.Silent && nobody:
		return silent + ", " + heard + "; nobody was logged in then"
	case a.Silent:
		return silent + ", " + heard + "; these are the last known:"
	case nobody:
		return "nobody is logged in; " + heard
	}
	return heard
}
