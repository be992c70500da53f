package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"rollcall/internal/api"
)

type reportCmd struct {
	Machines      string    `arg:"" optional:"" name:"glob" complete:"machines" help:"Only these machines: * matches any text, ? one character, [ab] one of these. Quote it, or the shell expands it."`
	UserOnSeveral bool      `xor:"filter" help:"Print the users who are on more than one machine, and where."`
	SilentFor     *spanFlag `xor:"filter" placeholder:"SPAN" help:"Print the machines not heard from for this long, such as 90m, 1h30m or 2d, and the last known users."`
	Longest       *uint32   `xor:"filter" placeholder:"N" help:"Print the N sessions that have lasted longest, at most 1000."`
	At            timeFlag  `xor:"filter" placeholder:"TIME" help:"Print who was logged in then: 10:17, \"yesterday 10:17\", \"mon 10:17\", 2026-11-22, \"2026-11-22 10:17\", RFC 3339, -1h or \"1h ago\". A day, a minute or a second means its end."`
	Expected      string    `xor:"filter" placeholder:"FILE" help:"Print the machines that were never heard from, of those in FILE, one a line."`
	queryFlags
}

// Help is the text of "rollcall report --help" before the flags.
func (reportCmd) Help() string {
	return `Asks the running service. Prints a line for each machine with somebody logged in: "machine: user, user". If the report is not complete, a message on standard error says so.

Examples:

    rollcall report
    rollcall report 'web*' --at yesterday
    rollcall report --silent-for 2d
    rollcall report -o csv --fields machine,heard`
}

// Run asks the service for its report and prints it.
func (c *reportCmd) Run(ctx context.Context, std streams) error {
	if c.Expected != "" {
		return c.runExpected(ctx, std)
	}
	request := &api.ReportRequest{Filter: api.Filter{Machines: c.Machines}}
	run := c.runNow
	switch {
	case c.At != "":
		run = c.runAt
		var err error
		if request.At, err = c.end(c.At); err != nil {
			return err
		}
	case c.UserOnSeveral:
		run, request.OnSeveral = c.runSeveral, true
	case c.SilentFor != nil:
		run, request.SilentFor = c.runSilent, time.Duration(*c.SilentFor).String()
	case c.Longest != nil:
		if *c.Longest < 1 || *c.Longest > 1000 {
			return usageError{fmt.Errorf("--longest=%d: use 1 to 1000", *c.Longest)}
		}
		run, request.Longest = c.runLongest, c.Longest
	}
	ask, err := newAsker(std, "report", &c.askFlags)
	if err != nil {
		return err
	}
	defer ask.close()
	if c.Machines == "" || api.IsPattern(c.Machines) {
		return run(ctx, ask, request)
	}
	return ask.named(ctx, api.Machines, c.Machines, &c.outputFlags, func(name string, _ bool) error {
		if err := ask.machineKnown(ctx, name); err != nil {
			return err
		}
		request.Machines, c.Machines = name, name
		return run(ctx, ask, request)
	})
}

// reportPrinter prints reports: as lines of text, in a pipe too, or as rows.
type reportPrinter struct {
	*reportCmd
	text  *api.Text
	list  *listing[api.Machine]
	tally *tally
}

// printer returns the printer of a report.
func (c *reportCmd) printer(std streams, columns []column[api.Machine]) (*reportPrinter, error) {
	p := &reportPrinter{reportCmd: c, text: api.NewText(std.out), tally: newTally()}
	if c.Output == "text" && len(c.Fields) == 0 {
		return p, nil
	}
	var err error
	p.list, err = newListing(std, &c.outputFlags, &c.zoneFlags, columns)
	return p, err
}

func (p *reportPrinter) print(machines []api.Machine) error {
	p.tally.addReport(machines)
	if p.list != nil {
		return p.list.print(machines)
	}
	return p.text.Write(&api.Report{Machines: machines})
}

// runNow prints the report.
func (c *reportCmd) runNow(ctx context.Context, ask *asker, request *api.ReportRequest) error {
	p, err := c.printer(ask.std, machineColumns)
	if err != nil {
		return err
	}
	err = ask.pages(ctx, "report", request, decodedReport(ask.std, &c.outputFlags, func(r *api.Report) error { return p.print(r.Machines) }))
	return p.finish(ask, err)
}

// runAt prints the report of a past moment.
func (c *reportCmd) runAt(ctx context.Context, ask *asker, request *api.ReportRequest) error {
	p, err := c.printer(ask.std, []column[api.Machine]{nameColumn, usersColumn})
	if err != nil {
		return err
	}
	err = ask.pages(ctx, "report", request, decoded(ask.std, &c.outputFlags, func(a *api.PastReport) error {
		machines := make([]api.Machine, len(a.Machines))
		for i, m := range a.Machines {
			machines[i] = api.Machine{Name: m.Name, Users: m.Users}
		}
		return p.print(machines)
	}))
	return p.finish(ask, err)
}

// finish ends the last line, and says below how many machines and users there are.
func (p *reportPrinter) finish(ask *asker, err error) error {
	if err = errors.Join(err, p.text.Close()); err == nil {
		ask.summary(&p.outputFlags, "%s", p.tally.fleet(p.Machines))
	}
	return err
}

var nameColumn = column[api.Machine]{field: "machine", value: func(m *api.Machine) any { return m.Name }}

var usersColumn = column[api.Machine]{field: "users", value: func(m *api.Machine) any { return m.Users }}

// machineColumns are the columns of a report. A machine whose users do not fit in one
// message has several rows.
var machineColumns = []column[api.Machine]{
	nameColumn,
	{field: "heard", value: func(m *api.Machine) any { return m.Heard }},
	{field: "silent", value: func(m *api.Machine) any { return m.Silent }},
	{field: "incomplete", value: func(m *api.Machine) any { return m.Incomplete }},
	{field: "missing", value: func(m *api.Machine) any { return m.Missing }},
	{field: "changed", value: func(m *api.Machine) any { return m.Changed }},
	usersColumn,
}

// decodedReport is decoded for reports.
func decodedReport(std streams, o *outputFlags, print func(*api.Report) error) func(page []byte) error {
	return func(page []byte) error {
		if o.Output == "json" {
			return std.printPage(page)
		}
		r, err := api.DecodeReport(page)
		if err != nil {
			return err
		}
		return print(&r)
	}
}
