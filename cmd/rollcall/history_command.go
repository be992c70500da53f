package main

import (
	"cmp"
	"context"
	"encoding/csv"
	"fmt"
	"time"

	"rollcall/internal/api"
)

type historyCmd struct {
	Machines string   `arg:"" optional:"" name:"glob" help:"Only sessions on these machines: * matches any text, ? any one character. Quote it, or the shell expands it."`
	Machine  []string `placeholder:"MACHINE" sep:"none" help:"Only sessions on this machine. It can be repeated, up to 300 times."`
	User     string   `placeholder:"USER" help:"Only sessions of this user."`
	Remote   string   `placeholder:"REMOTE" help:"Only sessions from there, such as 10.0.0.7."`
	Service  string   `placeholder:"SERVICE" help:"Only sessions of this service, such as sshd."`
	From     timeFlag `placeholder:"TIME" help:"Only sessions that were open then or later: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day means its beginning."`
	To       timeFlag `placeholder:"TIME" help:"Only sessions that began then or earlier. A day means its end."`
	Oldest   bool     `help:"Print the session that began first first, instead of the one that began last."`
	Limit    *uint32  `placeholder:"N" help:"Print at most N sessions."`
	Output   string   `enum:"text,json,csv" default:"text" placeholder:"FORMAT" help:"text; csv: all columns, with times in UTC; or json: the service's answer as one JSON object per line."`
	zoneFlags
}

// Help is the text of "rollcall history --help" before the flags.
func (historyCmd) Help() string {
	return `Asks the running service for its history. Prints a line for each session, the latest first: when it began and ended, how long it lasted, and how it ended: with a logout, a boot or shutdown of the machine, a present that does not list it, or replaced by another user's session of the same name. The table has the column REMOTE if it is at least 100 columns wide; --output csv and json have all fields.`
}

// Run asks for the sessions in a span of time and prints them.
func (c *historyCmd) Run(ctx context.Context, std streams) error {
	request, err := c.request()
	if err != nil {
		return err
	}
	print := c.printer(std)
	sessions := 0
	err = c.pages(ctx, std, "history", "history", request, func(page []byte) error {
		a, err := api.Decode[api.HistoryAnswer](page)
		if err != nil {
			return err
		}
		sessions += len(a.Sessions)
		if err := print(page, a.Sessions); err != nil || c.Limit == nil {
			return err
		}
		if sessions >= int(*c.Limit) {
			return errEnough
		}
		*request.Limit = *c.Limit - uint32(sessions) // of the next page
		return nil
	})
	if err == nil && sessions == 0 && c.Output == "text" {
		_, err = fmt.Fprintln(std.out, "no sessions")
	}
	return err
}

// request returns the request.
func (c *historyCmd) request() (*api.HistoryRequest, error) {
	r := &api.HistoryRequest{Machines: c.Machines, User: c.User, Remote: c.Remote, Service: c.Service}
	switch len(c.Machine) {
	case 0:
	case 1:
		r.Machine = c.Machine[0] // an unknown one is an error
	default:
		r.Names = c.Machine
	}
	if c.Oldest {
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

// printer returns the function that prints a page.
func (c *historyCmd) printer(std streams) func(page []byte, sessions []api.PastStay) error {
	switch c.Output {
	case "json":
		return func(page []byte, _ []api.PastStay) error { return std.printPage(page) }
	case "csv":
		w := csv.NewWriter(std.out)
		w.Write(csvHeader) //nolint:errcheck // Flush returns it
		return func(_ []byte, sessions []api.PastStay) error {
			for i := range sessions {
				w.Write(csvRow(&sessions[i])) //nolint:errcheck // so does Error
			}
			w.Flush()
			return w.Error()
		}
	}
	return func(_ []byte, sessions []api.PastStay) error {
		return c.table(sessions, width(std.out)).write(std.out, width(std.out))
	}
}

var csvHeader = []string{"machine", "user", "session", "since", "ended", "how", "terminal", "remote", "service"}

func csvRow(s *api.PastStay) []string {
	date := func(t time.Time) string {
		if t.IsZero() {
			return ""
		}
		return t.UTC().Format(time.RFC3339Nano)
	}
	return []string{s.Machine, s.User, s.ID, date(s.Since), date(s.Ended), s.How, s.Terminal, s.Remote, s.Service}
}

// remoteMinWidth is the least width of a table with the column REMOTE.
const remoteMinWidth = 100

// table returns a row for each session. Session, terminal and service are only in the
// other formats: the table has no room for them.
func (c *historyCmd) table(sessions []api.PastStay, width int) *table {
	t := newTable("USER", "MACHINE", "SINCE", "UNTIL", "FOR", "END", "REMOTE")
	for _, s := range sessions {
		lasted := ""
		if !s.Ended.IsZero() && !s.SinceUnknown {
			lasted = span(s.Ended.Sub(s.Since))
		}
		if width < remoteMinWidth {
			s.Remote = ""
		}
		t.add(cmp.Or(s.User, "(unknown)"), s.Machine, c.since(&s), c.until(&s), lasted, s.How, s.Remote)
	}
	return t
}

// since returns when a session began.
func (c *historyCmd) since(s *api.PastStay) string {
	if s.SinceUnknown {
		return "unknown"
	}
	return c.time(s.Since)
}

// until returns when a session ended: the time of day if that was on the day on which it
// began; "" while it is open.
func (c *historyCmd) until(s *api.PastStay) string {
	if s.Ended.IsZero() {
		return ""
	}
	const day = len(time.DateOnly)
	until := c.time(s.Ended)
	if !s.SinceUnknown && c.time(s.Since)[:day] == until[:day] {
		return until[day+1:]
	}
	return until
}
