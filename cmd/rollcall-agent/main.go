// Command rollcall-agent tells rollcall who is logged in on the machine that it runs on.
// It is "rollcall agent" in a small program, without the service.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"rollcall/internal/agent/command"
	"rollcall/internal/config"
	"rollcall/internal/natsconn"
)

// The exit codes.
const (
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78 // EX_CONFIG of sysexits.h
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:]))
}

// run runs a command line, prints errors, and returns the exit code.
func run(ctx context.Context, args []string) int {
	parser := kong.Must(new(command.Agent), kong.Name("rollcall-agent"),
		kong.Description("Tells rollcall who is logged in on this machine."),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: 80}), kong.Help(command.PrintHelp))
	selected, err := parser.Parse(args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "rollcall-agent: %v; see \"rollcall-agent --help\"\n", err)
		return exitUsage
	}
	selected.BindTo(ctx, (*context.Context)(nil))
	err = selected.Run(command.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr})
	if err != nil {
		fmt.Fprintln(os.Stderr, "rollcall-agent:", err)
	}
	switch problems, misconfigured := errors.AsType[config.Problems](err); {
	case err == nil:
		return 0
	case misconfigured && len(problems) > 0, errors.Is(err, natsconn.ErrConfiguration):
		return exitConfig
	}
	return exitFailed
}
