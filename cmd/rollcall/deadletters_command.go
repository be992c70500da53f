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
	Machine string `placeholder:"MACHINE" help:"Only those of this machine, as named by the subject or else the payload."`
	Limit   uint32 `default:"1000" placeholder:"N" help:"Print at most N, the latest ones. Default: ${default}."`
	Output  string `enum:"text,json" default:"text" placeholder:"FORMAT" help:"text, or json: one JSON object per line and message."`
	UTC     bool   `name:"utc" help:"Print times in UTC, not in the local zone."`
}

// Help is the text of "rollcall deadletters --help" before the flags.
func (deadlettersCmd) Help() string {
	return `Reads the stream of dead letters; the service need not be running. Prints a line for each refused message, in the order in which rollcall read them: its place, when it was stored, why it was refused, and what its publisher can do about it.`
}

// Run reads the stream of dead letters and prints those that match the flags.
func (c *deadlettersCmd) Run(ctx context.Context, std streams) error {
	if reasons := roster.Reasons(); c.Reason != "" && !slices.Contains(reasons, roster.Reason(c.Reason)) {
		return usageError{fmt.Errorf("--reason=%s: no such reason: use one of %v", c.Reason, reasons)}
	}
	if c.Limit == 0 {
		return usageError{errors.New("--limit=0: use 1 or more")}
	}
	cfg, err := config.ReadDeadLetters()
	if err != nil {
		return err
	}
	conn, err := client.Connect(ctx, &cfg.Client)
	if err != nil {
		return err
	}
	defer conn.Close()
	found := latest{most: int(c.Limit)}
	err = client.DeadLetters(ctx, conn, cfg.Subjects(), string(cfg.DeadlettersStream), func(l client.DeadLetter) {
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
	return c.print(std, found.inOrder())
}

func (c *deadlettersCmd) print(std streams, all []client.DeadLetter) error {
	if c.Output == "json" {
		for i := range all {
			line, err := json.Marshal(&all[i], jsontext.AllowInvalidUTF8(true))
			if err != nil {
				return fmt.Errorf("deadletters: encoding: %w", err)
			}
			if _, err := std.out.Write(append(line, '\n')); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable("PLACE", "RECEIPT", "REASON", "MACHINE", "DETAIL")
	t.wrap = true
	times := zoneFlags{UTC: c.UTC}
	for _, l := range all {
		receipt := l.Receipt
		if at, err := time.Parse(time.RFC3339Nano, receipt); err == nil {
			receipt = times.time(at)
		}
		t.add(fmt.Sprint(l.Place), receipt, l.Reason, l.Machine, l.Detail)
	}
	return t.write(std.out, width(std.out))
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
