package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/alecthomas/kong"

	"rollcall/internal/config"
	"rollcall/internal/natsconn"
)

// The exit codes.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2  // wrong usage; also the exit code of a Go panic
	exitConfig = 78 // EX_CONFIG of sysexits.h: a wrong configuration, or an unusable stream
)

// streams are the standard streams of a command. Output goes to out; progress, messages and
// errors go to err.
type streams struct {
	in       io.Reader
	out, err io.Writer
}

type commands struct {
	Serve         serveCmd         `cmd:"" help:"Run the service: fold events, answer questions."`
	Web           webCmd           `cmd:"" help:"Serve a page that shows who is logged in where."`
	Publish       publishCmd       `cmd:"" help:"Send events: JSON Lines, or one given by flags."`
	Report        reportCmd        `cmd:"" help:"Print who is logged in where."`
	Who           whoCmd           `cmd:"" help:"Print who is logged in on a machine, or on all."`
	Where         whereCmd         `cmd:"" help:"Print where a user is logged in."`
	History       historyCmd       `cmd:"" help:"Print who was logged in where, from when to when."`
	HistoryBackup historyBackupCmd `cmd:"" name:"history backup" help:"Copy the history while the service runs."`
	Watch         watchCmd         `cmd:"" help:"Print who is logged in where, then each change."`
	Deadletters   deadlettersCmd   `cmd:"" help:"Print the messages that were refused, and why."`
	Status        statusCmd        `cmd:"" help:"Print the status of the service."`
	Healthcheck   healthcheckCmd   `cmd:"" help:"Check whether the service is alive, or ready."`
	Standby       standbyCmd       `cmd:"" help:"Fetch what the active service knows."`
	Snapshot      snapshotCmd      `cmd:"" help:"Inspect a snapshot."`
	Enroll        enrollCmd        `cmd:"" help:"Make credentials for machines and readers."`
	Streams       streamsCmd       `cmd:"" help:"Create missing streams, and check them."`
	Agent         agentCmd         `cmd:"" help:"Tell rollcall who is logged in on this machine."`
	Completion    completionCmd    `cmd:"" help:"Print a completion script for the shell."`
	Complete      completeCmd      `cmd:"" hidden:""`
	Version       versionCmd       `cmd:"" help:"Print the version."`
}

// run runs a command line, prints errors on err, and returns the exit code. Canceling ctx
// ends the command cleanly.
func run(ctx context.Context, args []string, std streams) int {
	selected, err := parse(args, std)
	if err == nil && selected != nil {
		selected.BindTo(ctx, (*context.Context)(nil))
		err = selected.Run(std)
	}
	for _, line := range errorLines(err) {
		fmt.Fprintln(std.err, "rollcall:", line)
	}
	return exitCode(err)
}

// parse returns the command to run, or nil when help was asked for and printed.
func parse(args []string, std streams) (*kong.Context, error) {
	switch {
	case len(args) == 0:
		args = []string{"--help"}
	case args[0] == "--version":
		args = slices.Concat([]string{"version"}, args[1:])
	case args[0] == "help":
		args = append(slices.Clone(args[1:]), "--help")
	}
	for _, arg := range args {
		//guard:false "invalid UTF-8 is refused, not replaced" TestPublishInvalidUTF8
		if !utf8.ValidString(arg) { // the parser would replace invalid bytes
			return nil, usageError{fmt.Errorf("%q: give valid UTF-8", arg)}
		}
	}
	if len(args) > 1 && strings.Join(args[:2], " ") == historyBackup {
		args = slices.Concat([]string{historyBackup}, args[2:])
	}
	helped := false
	parser, err := kong.New(new(commands),
		kong.Name("rollcall"),
		kong.Description("Who is logged in where, now and at any past moment."),
		kong.Writers(std.out, std.err),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true, WrapUpperBound: helpWidth}),
		kong.Help(printHelp),
		kong.ExplicitGroups([]kong.Group{
			{Key: "hand", Title: "One event, instead of files:"},
			{Key: "nats", Title: "NATS server; without these flags, NATS_URL, NATS_CREDS and so on:"},
		}),
		// Kong continues parsing when this returns.
		kong.Exit(func(int) { helped = true }),
	)
	if err != nil {
		return nil, fmt.Errorf("building the command line: %w", err)
	}
	selected, err := parser.Parse(args)
	if helped {
		return nil, nil
	}
	if err != nil {
		return nil, misused(err)
	}
	return selected, checkEmpty(selected, args)
}

// checkEmpty refuses empty values in the command lines of those that ask: a script whose
// variable is not set asks about one machine, not about all.
func checkEmpty(selected *kong.Context, args []string) error {
	if !slices.Contains([]string{"report", "who", "where", "history", "watch", "deadletters"}, selected.Selected().Name) {
		return nil
	}
	for i, arg := range args {
		//guard:false "an empty name does not mean all" TestEmptyNames
		if name, _ := strings.CutSuffix(arg, "="); arg == "" || strings.HasPrefix(arg, "--") && name != arg {
			if arg == "" && i > 0 && strings.HasPrefix(args[i-1], "-") {
				name = args[i-1]
			}
			return misusedBy(selected, fmt.Errorf("%s: is empty: give a value, or leave it out", cmp.Or(name, "an argument")))
		}
	}
	return nil
}

func misusedBy(selected *kong.Context, err error) error {
	return usageError{fmt.Errorf("%w; see %q", err, "rollcall "+selected.Selected().Name+" --help")}
}

// misused turns a parsing error of kong into a usage error that names the help.
func misused(err error) error {
	path := "rollcall"
	var bad *kong.ParseError
	if errors.As(err, &bad) && bad.Context.Selected() != nil {
		path = bad.Context.Selected().FullPath()
	}
	return usageError{fmt.Errorf("%w; see %q", err, path+" --help")}
}

// usageError is an error in the command line itself.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// errReported is the error of a command that has already printed what went wrong.
var errReported = errors.New("already reported")

// errorLines returns the lines to print for an error.
func errorLines(err error) []string {
	var bad config.Problems
	switch {
	case err == nil || errors.Is(err, errReported):
		return nil
	case errors.As(err, &bad):
		return bad.Lines()
	}
	return strings.Split(err.Error(), "\n")
}

func exitCode(err error) int {
	var usage usageError
	var bad config.Problems
	switch {
	case err == nil:
		return exitDone
	//guard:drop errors.Is "a wrong configuration is not restarted" TestCannotServe/work_queue
	case errors.As(err, &bad), errors.Is(err, natsconn.ErrConfiguration):
		return exitConfig
	case errors.As(err, &usage):
		return exitUsage
	}
	return exitFailed
}
