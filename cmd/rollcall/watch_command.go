package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/rivo/uniseg"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/config"
)

type watchCmd struct {
	Machines string `arg:"" optional:"" name:"glob" complete:"machines" help:"Only these machines: * matches any text, ? one character, [ab] one of these. Quote it, or the shell expands it."`
	Output   string `short:"o" enum:"text,json" default:"text" placeholder:"FORMAT" help:"text, or json: one object per line, for each machine with somebody logged in, then for each change."`
	UTC      bool   `name:"utc" short:"u" help:"Print times in UTC, not in the local zone."`
	connFlags
}

// Help is the text of "rollcall watch --help" before the flags.
func (watchCmd) Help() string {
	return `Asks the running service who is logged in, and prints it; then prints who arrives (+) and leaves (-), and after each change who is logged in, until it is interrupted. After an outage of the connection or the service it asks again and prints the difference. A login that is refused on reconnecting is reported and retried, with the current content of its file. Somebody who arrives and leaves within a second may not be shown.

Examples:

    rollcall watch 'web*'
    rollcall watch --output json`
}

// Run watches until the context is canceled, which is no error.
func (c *watchCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadClient(c.given())
	if err != nil {
		return err
	}
	watched, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	notify := func(text string) { fmt.Fprintln(std.err, "rollcall: watch:", text) }
	mirror := client.NewMirror(client.Watch{
		Subjects: cfg.Subjects(), Machines: c.Machines, Changed: c.printer(std.out), Notify: notify, Fail: fail,
		Incomplete: func(reason string) { notify(fmt.Sprintf("not complete (%s)", quoteUnprintable(reason))) },
		Refused:    func(err error) error { return client.Refused(cfg, err) },
	})
	watched, conn, err := client.Connect(watched, cfg, mirror.Options()...)
	if err != nil {
		return err
	}
	defer conn.Close()
	err = mirror.Run(watched, conn)
	var failed client.ChangedError
	switch {
	case ctx.Err() != nil:
		return nil
	case context.Cause(watched) != nil:
		return fmt.Errorf("watch: %w", context.Cause(watched))
	case errors.As(err, &failed):
		return fmt.Errorf("watch: %w", err)
	}
	return unanswered("watch", err, cfg)
}

// printer returns the function that prints a difference.
func (c *watchCmd) printer(out io.Writer) func(*client.Difference) error {
	if c.Output == "json" {
		return func(d *client.Difference) error {
			line, err := json.Marshal(d)
			if err == nil {
				_, err = out.Write(append(line, '\n'))
			}
			return err
		}
	}
	return func(d *client.Difference) error {
		line := api.Name(printable(d.Machine)) + ": " + joined(d.Users)
		if !d.First {
			line = c.line(d, width(out))
		}
		_, err := io.WriteString(out, line+"\n")
		return err
	}
}

// line formats a difference in one line: who arrived and left, and, if it fits, who
// is on now.
func (c *watchCmd) line(d *client.Difference, width int) string {
	at := d.When.Local().Format(time.TimeOnly)
	if c.UTC {
		at = d.When.UTC().Format(time.TimeOnly) + "Z"
	}
	line := at + " " + api.Name(printable(d.Machine)) + ":"
	for _, user := range d.Came {
		line += " +" + quoteChange(user)
	}
	for _, user := range d.Left {
		line += " -" + quoteChange(user)
	}
	const brackets = 3 // and a space before them
	if room := width - uniseg.StringWidth(line) - brackets; room > minColumn {
		line += " (" + cut(bracketed(d.Users), room) + ")"
	}
	return line
}

// quoteChange formats a name like the report, or as a JSON string if it could be read as
// more than one name.
func quoteChange(user string) string {
	//guard:drop "a name cannot control a terminal" TestWatch$
	user = printable(user)
	for _, more := range []string{" +", " -", " ("} {
		if strings.Contains(user, more) {
			return api.Quote(user)
		}
	}
	return api.Name(user)
}

// bracketed lists who is on now, or nobody. A user called nobody is quoted.
func bracketed(users []string) string {
	switch {
	case len(users) == 0:
		return nobody
	case len(users) == 1 && users[0] == nobody:
		return api.Quote(nobody)
	}
	return joined(users)
}

const nobody = "nobody"

// joined lists names like the report.
func joined(names []string) string {
	safe := slices.Clone(names)
	for i := range safe {
		safe[i] = api.Name(printable(safe[i]))
	}
	return strings.Join(safe, ", ")
}
