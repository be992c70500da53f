package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"

	"rollcall/internal/client"
	"rollcall/internal/config"
	"rollcall/internal/roster"
)

type deadlettersCmd struct {
	Reason  string `placeholder:"REASON" help:"Only those refused for this reason, such as bad_date."`
	Machine string `complete:"machines" placeholder:"MACHINE" help:"Only those of this machine, as named by the subject or else the payload."`
	Limit   uint32 `short:"n" default:"1000" placeholder:"N" help:"Print at most N, the latest ones. Default: ${default}."`
	queryFlags
}

// Help is the text of "rollcall deadletters --help" before the flags.
func (deadlettersCmd) Help() string {
	return `Reads the stream of dead letters; the service need not be running. Prints a line for each refused message, in the order in which rollcall read them: its place, when it was stored, why it was refused, and what its publisher can do about it.

Examples:

    rollcall deadletters --reason bad_date
    rollcall deadletters --machine web1 --limit 10`
}

// Run reads the stream of dead letters and prints those that match the flags.
func (c *deadlettersCmd) Run(ctx context.Context, std streams) error {
	if reasons := roster.Reasons(); c.Reason != "" && !slices.Contains(reasons, roster.Reason(c.Reason)) {
		return usageError{fmt.Errorf("--reason=%s: no such reason: use one of %v", c.Reason, reasons)}
	}
	if c.Limit == 0 {
		return usageError{errors.New("--limit=0: use 1 or more")}
	}
	list, err := newListing(std, &c.outputFlags, &c.zoneFlags, letterColumns)
	if err != nil {
		return err
	}
	cfg, err := config.ReadDeadLetters(c.given())
	if err != nil {
		return err
	}
	ctx, conn, err := client.Connect(ctx, &cfg.Client)
	if err != nil {
		return err
	}
	defer conn.Close()
	found := latest{most: int(c.Limit)}
	_, err = client.DeadLetters(ctx, conn, cfg.Subjects(), client.LettersStream{Domain: cfg.Domain(), Name: string(cfg.DeadlettersStream)}, 0, func(l client.DeadLetter) {
		if (c.Reason == "" || l.Reason == c.Reason) && (c.Machine == "" || l.Machine == c.Machine) {
			found.add(l)
		}
	})
	if err != nil {
		return unanswered("deadletters", err, &cfg.Client)
	}
	if found.count > found.most {
		fmt.Fprintf(std.err, "rollcall: deadletters: printed the latest %d of %d; --limit prints more\n", found.most, found.count)
	}
	return c.print(std, list, found.inOrder())
}

// print prints dead letters. They have the same fields as JSON and as rows.
func (c *deadlettersCmd) print(std streams, list *listing[client.DeadLetter], all []client.DeadLetter) error {
	if c.Output == "json" {
		for i := range all {
			line, err := json.Marshal(&all[i], jsontext.AllowInvalidUTF8(true))
			if err != nil {
				return fmt.Errorf("deadletters: encoding: %w", err)
			}
			if err := std.printPage(line); err != nil {
				return err
			}
		}
		return nil
	}
	if list.table != nil {
		list.table.wrap = true
	}
	if err := list.print(all); err != nil || len(all) > 0 {
		return err
	}
	std.note("no dead letters%s", filters("--reason", c.Reason, "--machine", c.Machine))
	return nil
}

// letterColumns are the columns of dead letters.
var letterColumns = []column[client.DeadLetter]{
	{field: "place", title: "PLACE", value: func(l *client.DeadLetter) any { return l.Place }},
	{field: "receipt", title: "RECEIPT", value: func(l *client.DeadLetter) any {
		if at, err := time.Parse(time.RFC3339Nano, l.Receipt); err == nil {
			return at
		}
		return l.Receipt // anybody may have stored it
	}},
	{field: "reason", title: "REASON", value: func(l *client.DeadLetter) any { return l.Reason }},
	{field: "machine", title: "MACHINE", value: func(l *client.DeadLetter) any { return l.Machine }},
	{field: "detail", title: "DETAIL", value: func(l *client.DeadLetter) any { return l.Detail }},
	{field: "subject", value: func(l *client.DeadLetter) any { return l.Subject }},
	{field: "stream", value: func(l *client.DeadLetter) any { return l.Stream }},
	{field: "sequence", value: func(l *client.DeadLetter) any { return l.Sequence }},
	{field: "size", value: func(l *client.DeadLetter) any { return l.Size }},
}

// latest keeps the dead letters with the greatest places, at most so many.
type latest struct {
	most  int
	kept  []client.DeadLetter
	count int // of all that were added
}

func (l *latest) add(one client.DeadLetter) {
	l.count++
	if l.kept = append(l.kept, one); len(l.kept) >= 2*l.most {
		l.kept = l.inOrder()
	}
}

// inOrder returns them in the order of their places.
func (l *latest) inOrder() []client.DeadLetter {
	slices.SortStableFunc(l.kept, func(a, b client.DeadLetter) int { return cmp.Compare(a.Place, b.Place) })
	return slices.Clone(l.kept[max(0, len(l.kept)-l.most):])
}
