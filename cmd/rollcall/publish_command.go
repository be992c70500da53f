package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"rollcall/internal/client"
	"rollcall/internal/config"
	"rollcall/internal/publish"
	"rollcall/internal/wire"
)

type publishCmd struct {
	Files []string   `arg:"" optional:"" name:"file" help:"JSON Lines: one event per line. - or none: standard input."`
	Event eventFlags `embed:"" group:"hand"`
	connFlags
}

// Help is the text of "rollcall publish --help" before the flags.
func (publishCmd) Help() string {
	return `Each line is checked as in the service. A bad one is not sent, but reported as FILE:LINE: reason: what is wrong: what to do. The others are sent in order, unchanged. Blank lines are skipped. Beside that, the service refuses events that are dated too far ahead or are too late, and those beyond its limits: one event by hand is checked for all of these, if the service can be asked; events of files for dates ahead. The exit code is 1 if any event was not stored or got no ack; one without an ack may have been stored.

An event:

    {"date":"2026-11-22 21:00:00","type":"login","machine":"web1","user":"lane"}

Examples:

    rollcall publish events.jsonl
    rollcall publish --login lane --machine web1 --remote 10.0.0.7
    rollcall publish --logout lane --machine web1 --date '5m ago'
    rollcall publish --boot --machine web1`
}

// Validate refuses flags that cannot be combined.
func (c *publishCmd) Validate() error {
	if len(c.Files) > 0 && c.Event.given() {
		return errors.New("give files or one event, not both")
	}
	return c.Event.validate()
}

// Run sends the events and prints how many were stored.
func (c *publishCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadClient(c.given())
	if err != nil {
		return err
	}
	judge := wire.NewDecoder(cfg.Subjects())
	inputs, err := c.inputs(judge, std.in)
	if err != nil {
		return err
	}
	p := publish.New(cfg.Subjects(), judge, cfg.NATS().Denied)
	// The publisher continues with the other events if one is denied.
	asked, conn, err := client.Connect(ctx, cfg, p.Options()...)
	if err != nil {
		return err
	}
	defer conn.Close()
	foresight := foresight{byHand: c.Event.given(), dated: c.Event.Date != "", ask: func() (*client.Judge, error) {
		return client.AskJudge(asked, conn, cfg.Subjects(), c.Event.Machine)
	}}
	p.Foresee = foresight.refusal
	progress := newProgress(std.err, inputs)
	tally, stop := p.Send(ctx, conn, sources(inputs), progress)
	progress.end()
	foresight.print(std)
	if _, err := fmt.Fprintln(std.out, tally); err != nil {
		return err
	}
	switch {
	case stop != nil:
		return fmt.Errorf("publish: %w", stop)
	//guard:false "the exit code shows that something was not stored" TestScripts/publish$
	case tally.Refused+tally.Failed+tally.NoAck > 0:
		return errReported
	}
	return nil
}

// inputs returns the inputs, after checking that all of them can be opened: nothing is
// sent if a file name is misspelt.
func (c *publishCmd) inputs(judge *wire.Decoder, stdin io.Reader) ([]input, error) {
	if c.Event.given() {
		event, err := c.Event.encode(judge)
		if err != nil {
			return nil, err
		}
		return []input{{Input: publish.Input{Name: "event", Open: opened(strings.NewReader(string(event)))}, size: int64(len(event))}}, nil
	}
	var inputs []input
	for _, name := range slices.Concat(c.Files, c.standardInput()) {
		in, err := newInput(name, stdin)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, in)
	}
	return inputs, nil
}

func (c *publishCmd) standardInput() []string {
	if len(c.Files) == 0 {
		return []string{"-"}
	}
	return nil
}

// input is a file of events.
type input struct {
	publish.Input
	size int64 // in bytes, -1 when it is not known
	// typed says that the input is typed at a terminal.
	typed bool
}

func newInput(name string, stdin io.Reader) (input, error) {
	if name == "-" {
		return input{Input: publish.Input{Name: "stdin", Open: opened(stdin)}, size: -1, typed: isTerminal(stdin)}, nil
	}
	if why := config.Unreadable(name); why != "" {
		return input{}, fmt.Errorf("%s: %s; nothing was sent: give readable files", name, why)
	}
	info, err := os.Stat(name)
	if err != nil {
		return input{}, fmt.Errorf("%s: %w; nothing was sent", name, err)
	}
	size := int64(-1)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	open := func() (io.ReadCloser, error) { return os.Open(name) }
	return input{Input: publish.Input{Name: name, Open: open}, size: size}, nil
}

// sources returns the inputs without what only the progress bar needs.
func sources(inputs []input) []publish.Input {
	list := make([]publish.Input, len(inputs))
	for i, in := range inputs {
		list[i] = in.Input
	}
	return list
}

// opened returns an open function for a reader that the caller closes.
func opened(r io.Reader) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
}
