package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/go-json-experiment/json"

	"rollcall/internal/api"
	"rollcall/internal/inventory"
)

// runExpected prints the machines of an inventory that the service has never heard from.
func (c *reportCmd) runExpected(ctx context.Context, std streams) error {
	expected, err := inventory.Read(c.Expected)
	if err != nil {
		return fmt.Errorf("report: %w", err)
	}
	list, err := newListing(std, &c.outputFlags, &c.zoneFlags, []column[string]{{field: "machine", title: "MACHINE", value: func(s *string) any { return *s }}})
	if err != nil {
		return err
	}
	ask, err := newAsker(std, "report", &c.askFlags)
	if err != nil {
		return err
	}
	defer ask.close()
	heard := map[string]bool{}
	err = ask.pages(ctx, "report", api.ReportRequest{}, func(page []byte) error {
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
	if unheard, err = ask.unknown(ctx, unheard); err != nil {
		return err
	}
	if c.Output == "json" {
		text, err := json.Marshal(map[string]any{"expected": len(expected), "unheard": unheard}, json.Deterministic(true))
		if err != nil {
			return err
		}
		return std.printPage(text)
	}
	if err := list.print(unheard); err != nil {
		return err
	}
	std.note("machines never heard from: %d of %d", len(unheard), len(expected))
	return nil
}

// unknown returns those of the machines that the service does not know. A machine that is
// in no report may have been shut down.
func (a *asker) unknown(ctx context.Context, names []string) (unknown []string, err error) {
	for _, name := range names {
		switch err := a.machineKnown(ctx, name); {
		case isUnknown(err):
			unknown = append(unknown, name)
		case err != nil:
			return nil, err
		}
	}
	return unknown, nil
}
