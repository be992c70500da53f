// Command rollcall keeps a roster of who is logged in where, from login and
// logout events that agents publish to NATS.
//
//	rollcall serve        fold events into the roster; publish reports, answer
//	                      questions, export metrics
//	rollcall publish      send events from JSON Lines, or one by hand
//	rollcall report       print who is logged in where
//	rollcall who          print who is logged in on a machine
//	rollcall where        print where a user is logged in
//	rollcall watch        print who comes and who leaves, as it happens
//	rollcall status       print how the service itself is
//	rollcall deadletters  print the messages that were refused, and why
//	rollcall healthcheck  say whether the service lives, or is ready
//	rollcall snapshot     look into a snapshot
//	rollcall completion   print a script that makes a shell complete all this
//	rollcall version      print the version
//
// # Tour
//
// cli.go has the commands and what a failure looks like, and a file of its own
// each what a command does; question.go is what those that ask the service have
// in common, watching.go how a state is kept as it changes, table.go what they
// print. Configuration is the environment: config.go says which variables there
// are, values.go what may be in them, environment.go how they are read, and
// variables.go how they are listed. Everything else is in packages under
// internal, which know the roster and not each other; only this command knows
// several of them.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal ends the process at once.
	context.AfterFunc(ctx, stop)
	os.Exit(run(ctx, os.Args[1:], streams{os.Stdin, os.Stdout, os.Stderr}))
}
