package main

import (
	"context"
	"errors"

	"rollcall/internal/query"
	"rollcall/internal/report"
)

type reportCmd struct {
	asking
}

// Help is what "rollcall report --help" says beside the flags.
func (reportCmd) Help() string {
	return `Asks the running service. A line for each machine that somebody is on: "machine: user, user". A report that is not complete is said to be so on standard error.`
}

// Run asks the service for its report and prints it.
func (c *reportCmd) Run(ctx context.Context, std streams) error {
	text := report.NewText(std.out)
	err := c.ask(ctx, std, "report", "report", query.ReportRequest{}, func(page []byte) error {
		r, err := report.Decode(page)
		if err != nil {
			return err
		}
		return text.Write(&r)
	})
	return errors.Join(err, text.Close())
}
