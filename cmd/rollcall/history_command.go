package main

import (
	"context"
	"fmt"
	"time"

	"rollcall/internal/api"
)

type historyCmd struct {
	Machine string `placeholder:"MACHINE" help:"Only sessions on this machine."`
	User    string `placeholder:"USER" help:"Only sessions of this user."`
	From    string `placeholder:"TIME" help:"Only sessions that were open at this time or later: 2006-01-02, 2006-01-02T15:04, 2006-01-02T15:04:05 or RFC 3339."`
	To      string `placeholder:"TIME" help:"Only sessions that began at this time or earlier. A date means its beginning."`
	queryFlags
}

// Help is the text of "rollcall history --help" before the flags.
func (historyCmd) Help() string {
	return `Asks the running service, which reads the events again. Prints a line for each session, the earliest first: when it began and ended, how long it lasted, and how it ended: with a logout, a boot or shutdown of the machine, a present that does not list it, or replaced by another user's session of the same name; reset or gone if the event that ended it no longer exists. The table has the column REMOTE if it is at least 100 columns wide; --output json has all fields.`
}

// Run asks for the sessions in a span of time and prints them.
func (c *historyCmd) Run(ctx context.Context, std streams) error {
	request := api.HistoryRequest{Machine: c.Machine, User: c.User}
	var err error
	if request.From, err = c.moment("--from", c.From); err != nil {
		return err
	}
	if request.To, err = c.moment("--to", c.To); err != nil {
		return err
	}
	found := false
	err = c.ask(ctx, std, "history", "history", request, func(page []byte) error {
		a, err := api.Decode[api.HistoryAnswer](page)
		if err != nil {
			return err
		}
		found = found || len(a.Sessions) > 0
		if !found {
			_, err := fmt.Fprintln(std.out, "no sessions")
			return err
		}
		return c.table(a.Sessions, width(std.out)).write(std.out, width(std.out))
	})
	return err
}

// remoteMinWidth is the least width of a table with the column REMOTE.
const remoteMinWidth = 100

// table returns a row for each session. Session, terminal and service are only in
// --output json: the table has no room for them.
func (c *historyCmd) table(sessions []api.PastStay, width int) *table {
	t := newTable("USER", "MACHINE", "SINCE", "UNTIL", "FOR", "END", "REMOTE")
	for _, s := range sessions {
		lasted := ""
		if !s.Ended.IsZero() {
			lasted = span(s.Ended.Sub(s.Since))
		}
		if width < remoteMinWidth {
			s.Remote = ""
		}
		t.add(s.User, s.Machine, c.time(s.Since), c.until(&s), lasted, s.How, s.Remote)
	}
	return t
}

// until returns when a session ended: the time of day, and the number of days after the
// day on which it began; "" while it is open.
func (c *historyCmd) until(s *api.PastStay) string {
	if s.Ended.IsZero() {
		return ""
	}
	day := func(t string) time.Time {
		d, _ := time.Parse(time.DateOnly, t[:len(time.DateOnly)])
		return d
	}
	since, until := c.time(s.Since), c.time(s.Ended)
	clock := until[len(time.DateOnly)+1:]
	if days := int(day(until).Sub(day(since)).Hours()) / 24; days != 0 {
		return fmt.Sprintf("%s %+dd", clock, days)
	}
	return clock
}
