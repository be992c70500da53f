package main

import (
	"context"
	"fmt"
	"strings"

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
	r, err := report.Join(report.Fetch(ctx, conn, cfg.subjects(), report.Request{}))
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
