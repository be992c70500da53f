package main

import (
	"context"
	"fmt"
	"iter"
	"strings"

	"github.com/nats-io/nats.go"

	"rollcall/internal/ask"
	"rollcall/internal/query"
	"rollcall/internal/report"
)

type reportCmd struct {
	Output string `enum:"text,json" default:"text" placeholder:"FORMAT" help:"text, or json: the whole report as one JSON object."`
}

// Help is what "rollcall report --help" says beside the flags.
func (reportCmd) Help() string {
	return `Asks the running service. A line for each machine that somebody is on: "machine: user, user". A report that is not complete is said to be so on standard error.`
}

// Run asks the service for its report and prints it.
func (c *reportCmd) Run(ctx context.Context, std streams) error {
	cfg, err := readClient()
	if err != nil {
		return err
	}
	conn, err := connect(ctx, &cfg.Client)
	if err != nil {
		return err
	}
	defer conn.Close()
	r, err := report.Join(fetch(ctx, conn, cfg.subjects().Query("report")))
	if err != nil {
		return fmt.Errorf("report: %w (NATS_URL=%s)", err, cfg.broker())
	}
	if !r.Complete {
		fmt.Fprintf(std.err, "rollcall: report: not complete (%s); it will be when every machine has sent a boot, shutdown or present\n",
			strings.Join(r.Reasons, ", "))
	}
	if c.Output == "json" {
		_, err = std.out.Write(append(r.AppendJSON(nil), '\n'))
		return err
	}
	return r.WriteText(std.out)
}

// fetch asks for the report, page after page.
func fetch(ctx context.Context, conn *nats.Conn, subject string) iter.Seq2[report.Report, error] {
	return func(yield func(report.Report, error) bool) {
		for data, err := range ask.Pages(ctx, conn, subject, query.ReportRequest{}) {
			var page report.Report
			if err == nil {
				page, err = report.Decode(data)
			}
			if !yield(page, err) || err != nil {
				return
			}
		}
	}
}
