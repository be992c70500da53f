package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/api"
)

type reportCmd struct {
	Machines      string    `arg:"" optional:"" name:"glob" help:"Only these machines: * matches any text, ? any one character. Quote it, or the shell expands it."`
	UserOnSeveral bool      `xor:"filter" help:"Print the users who are on more than one machine, and where."`
	SilentFor     *spanFlag `xor:"filter" placeholder:"SPAN" help:"Print the machines not heard from for this long, such as 90m, 1h30m or 2d, and the last known users."`
	Longest       *uint32   `xor:"filter" placeholder:"N" help:"Print the N sessions that have lasted longest, at most 1000."`
	At            timeFlag  `xor:"filter" placeholder:"TIME" help:"Print who was logged in then: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day, a minute or a second means its end."`
	Expected      string    `xor:"filter" placeholder:"FILE" help:"Print the machines that were never heard from, of those in FILE, one a line."`
	queryFlags
}

// Help is the text of "rollcall report --help" before the flags.
func (reportCmd) Help() string {
	return `Asks the running service. Prints a line for each machine with somebody logged in: "machine: user, user". If the report is not complete, a message on standard error says so.`
}

// Run asks the service for its report and prints it.
func (c *reportCmd) Run(ctx context.Context, std streams) error {
	request := api.ReportRequest{Filter: api.Filter{Machines: c.Machines}}
	switch {
	case c.Expected != "":
		return c.runExpected(ctx, std)
	case c.At != "":
		return c.runAt(ctx, std, request)
	case c.UserOnSeveral:
		request.OnSeveral = true
		return c.runSeveral(ctx, std, request)
	case c.SilentFor != nil:
		request.SilentFor = time.Duration(*c.SilentFor).String()
		return c.runSilent(ctx, std, request)
	case c.Longest != nil:
		if *c.Longest < 1 || *c.Longest > 1000 {
			return usageError{fmt.Errorf("--longest=%d: use 1 to 1000", *c.Longest)}
		}
		request.Longest = c.Longest
		return c.runLongest(ctx, std, request)
	}
	text := api.NewText(std.out)
	err := c.askReport(ctx, std, request, text.Write)
	return errors.Join(err, text.Close())
}

// askReport asks for a report and calls print for each page.
func (c *reportCmd) askReport(ctx context.Context, std streams, request api.ReportRequest, print func(*api.Report) error) error {
	return c.ask(ctx, std, "report", "report", request, func(page []byte) error {
		r, err := api.DecodeReport(page)
		if err != nil {
			return err
		}
		return print(&r)
	})
}

// runAt prints the report of a past moment.
func (c *reportCmd) runAt(ctx context.Context, std streams, request api.ReportRequest) error {
	var err error
	if request.At, err = c.end("--at", c.At); err != nil {
		return err
	}
	text := api.NewText(std.out)
	err = c.ask(ctx, std, "report", "report", request, func(page []byte) error {
		a, err := api.Decode[api.PastReport](page)
		if err != nil {
			return err
		}
		var r api.Report
		for _, m := range a.Machines {
			r.Machines = append(r.Machines, api.Machine{Name: m.Name, Users: m.Users})
		}
		return text.Write(&r)
	})
	return errors.Join(err, text.Close())
}
