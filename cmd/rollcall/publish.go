package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/client"
	"rollcall/internal/config"
	"rollcall/internal/wire"
)

type publishCmd struct {
	Files  []string  `arg:"" optional:"" name:"file" help:"JSON Lines: one event a line. - or none: standard input."`
	ByHand handEvent `embed:"" group:"hand"`
}

// Help is what "rollcall publish --help" says beside the flags.
func (publishCmd) Help() string {
	return `Each line is judged as the service would. A bad one is not sent and is told as FILE:LINE: reason: what is wrong: what to do. The others are sent in order, as they stand. Blank lines are skipped. The exit code is 1 if any was not stored, or its ack did not come: such an event may be stored or not.

An event:

    {"date":"2026-11-22 21:00:00","type":"login","machine":"web1","user":"lane"}`
}

// Validate refuses flags that do not go together.
func (c *publishCmd) Validate() error {
	if len(c.Files) > 0 && c.ByHand.given() {
		return errors.New("give files or one event by hand, not both")
	}
	return c.ByHand.validate()
}

// Run sends the events and prints what became of them.
func (c *publishCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadClient()
	if err != nil {
		return err
	}
	judge := wire.NewDecoder(cfg.Subjects())
	inputs, err := c.inputs(judge, std.in)
	if err != nil {
		return err
	}
	p := &publication{
		subjects: cfg.Subjects(),
		judge:    judge,
		troubles: newTroubles(),
	}
	conn, err := client.Connect(ctx, cfg, p.troubles.watch()...)
	if err != nil {
		return err
	}
	defer conn.Close()
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(ackWait))
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	p.progress = newProgress(std.err, inputs)
	stop := p.send(ctx, js, inputs)
	if _, err := fmt.Fprintln(std.out, p.tally); err != nil {
		return err
	}
	switch {
	case stop != nil:
		return fmt.Errorf("publish: %w", stop)
	case p.tally.refused+p.tally.failed+p.tally.noAck > 0:
		return errTold
	}
	return nil
}

// inputs returns what to read, after a look at whether all of it can be read:
// nothing is sent while a name is misspelt.
func (c *publishCmd) inputs(judge *wire.Decoder, stdin io.Reader) ([]input, error) {
	if c.ByHand.given() {
		event, err := c.ByHand.encode(judge)
		if err != nil {
			return nil, err
		}
		return []input{{name: "event", size: int64(len(event)), open: opened(strings.NewReader(string(event)))}}, nil
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
	name string
	size int64 // in bytes, -1 when it is not known
	open func() (io.ReadCloser, error)
	// typed says that somebody types it on the terminal.
	typed bool
}

func newInput(name string, stdin io.Reader) (input, error) {
	if name == "-" {
		return input{name: "stdin", size: -1, open: opened(stdin), typed: isTerminal(stdin)}, nil
	}
	if why := config.Unreadable(name); why != "" {
		return input{}, fmt.Errorf("%s: %s; nothing was sent: give files that can be read", name, why)
	}
	info, err := os.Stat(name)
	if err != nil {
		return input{}, fmt.Errorf("%s: %w; nothing was sent", name, err)
	}
	size := int64(-1)
	if info.Mode().IsRegular() {
		size = info.Size()
	}
	return input{name: name, size: size, open: func() (io.ReadCloser, error) { return os.Open(name) }}, nil
}

// opened opens a reader that somebody else closes.
func opened(r io.Reader) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(r), nil }
}
