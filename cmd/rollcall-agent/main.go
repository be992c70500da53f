// Command rollcall-agent tells rollcall who is logged in on the machine that it runs on.
// It is "rollcall agent" in a small program, without the service.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"

	"rollcall/internal/agent/command"
	"rollcall/internal/config"
	"rollcall/internal/natsconn"
)

const usage = `Usage: rollcall-agent [command]

Tells rollcall who is logged in on this machine.

  run          Tell it until a signal ends the program. This is the default.
  run --once   Print the events that it would begin with, in JSON, and end.
  status       Print the state of the agent on this machine.
  tell         Tell the agent of logins and logouts that logind does not see.
  tell --pam   Make the event of the variables that pam_exec sets.
  --version    Print the version.

`

// version is set by the linker if Go cannot record it: -ldflags "-X main.version=v1.2.3".
var version string

// The exit codes, which are those of rollcall.
const (
	exitFailed = 1
	exitUsage  = 2
	exitConfig = 78 // EX_CONFIG of sysexits.h
)

// errUsage is an error in the command line itself.
var errUsage = errors.New(`no such command; see "rollcall-agent --help"`)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	err := run(ctx, strings.Join(os.Args[1:], " "))
	if err != nil {
		for line := range strings.Lines(err.Error()) {
			fmt.Fprintln(os.Stderr, "rollcall-agent:", strings.TrimSuffix(line, "\n"))
		}
	}
	os.Exit(exitCode(err))
}

// run runs a command line. There are so few that no parser is needed.
func run(ctx context.Context, line string) error {
	switch line {
	case "", "run":
		return command.Run(ctx, os.Stdout, os.Stderr, false)
	case "--once", "run --once":
		return command.Run(ctx, os.Stdout, os.Stderr, true)
	case "status":
		return command.Status(ctx, os.Stdout)
	case "tell":
		return command.Tell(ctx, os.Stdin, false)
	case "tell --pam":
		return command.Tell(ctx, os.Stdin, true)
	case "version", "--version":
		_, err := fmt.Printf("rollcall-agent %s (%s, %s/%s)\n", buildVersion(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return err
	case "help", "--help", "-h", "run --help", "status --help", "tell --help":
		_, err := fmt.Print(usage, "run:\n\n", paragraphs(command.RunHelp), "\ntell:\n\n", paragraphs(command.TellHelp), "\n", command.Variables())
		return err
	}
	return fmt.Errorf("%q: %w", line, errUsage)
}

// buildVersion returns the linker's version, else the module's as Go recorded it, else "devel".
func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "devel"
}

// paragraphs breaks a text into lines of at most 80 columns. What is indented stays as it is.
func paragraphs(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		lines := []string{strings.TrimSuffix(line, "\n")}
		if !strings.HasPrefix(line, " ") && len(line) > 1 {
			lines = config.Wrap(line, 80)
		}
		b.WriteString(strings.Join(lines, "\n") + "\n")
	}
	return b.String()
}

func exitCode(err error) int {
	switch _, misconfigured := errors.AsType[config.Problems](err); {
	case err == nil:
		return 0
	case misconfigured, errors.Is(err, natsconn.ErrConfiguration):
		return exitConfig
	case errors.Is(err, errUsage):
		return exitUsage
	}
	return exitFailed
}
