package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/config"
	"rollcall/internal/inventory"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// runExpected prints the machines of an inventory that the service has never heard from.
func (c *reportCmd) runExpected(ctx context.Context, std streams) error {
	expected, err := inventory.Read(c.Expected)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	heard := map[string]bool{}
	err = c.pages(ctx, std, "report", "report", api.ReportRequest{}, func(page []byte) error {
		r, err := api.DecodeReport(page)
		for i := range r.Machines {
			heard[r.Machines[i].Name] = true
		}
		return err
	})
	if err != nil {
		return err
	}
	unheard := slices.DeleteFunc(slices.Clone(expected), func(name string) bool { return heard[name] })
	if unheard, err = unknown(ctx, unheard); err != nil {
		return err
	}
	if c.Output == "json" {
		text, err := json.Marshal(map[string]any{"expected": len(expected), "unheard": unheard}, json.Deterministic(true))
		if err != nil {
			return err
		}
		return std.printPage(text)
	}
	for _, name := range unheard {
		if _, err := fmt.Fprintln(std.out, printable(name)); err != nil {
			return err
		}
	}
	fmt.Fprintf(std.err, "rollcall: report: machines never heard from: %d of %d\n", len(unheard), len(expected))
	return nil
}

// unknown returns those of the machines that the service does not know. A machine that is
// in no report may have been shut down.
func unknown(ctx context.Context, names []string) (unknown []string, err error) {
	cfg, err := config.ReadClient()
	if err != nil {
		return nil, err
	}
	conn, err := client.Connect(ctx, cfg)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	for _, name := range names {
		for _, err := range client.Pages(ctx, conn, cfg.Subjects().Query("machine"), api.MachineRequest{Machine: name}) {
			if refusal, is := errors.AsType[*client.Refusal](err); is && refusal.Code == rollcallv1.CodeNotFound {
				unknown = append(unknown, name)
			} else if err != nil {
				return nil, unanswered("report", err, cfg)
			}
			break
		}
	}
	return unknown, nil
}
