// Command rollcall keeps a roster of who is logged in where, from login and
// logout events that agents publish to NATS.
//
//	rollcall serve        run the service
//	rollcall publish      send events from JSON Lines, or one by hand
//	rollcall report       print who is logged in where
//	rollcall who          print who is logged in on a machine
//	rollcall where        print where a user is logged in
//	rollcall history      print who was logged in where, from when to when
//	rollcall watch        print who comes and who leaves, as it happens
//	rollcall deadletters  print the messages that were refused, and why
//	rollcall status       show the service's status
//	rollcall healthcheck  say whether the service lives, or is ready
//	rollcall snapshot     look into a snapshot
//	rollcall completion   print a script that makes a shell complete all this
//	rollcall version      print the version
//
// commands.go has the commands, exit codes and what a failure looks like;
// <name>_command.go has what each of them does; question.go what those that ask the
// service have in common; table.go how they print. Everything else is in packages
// under internal: the service itself in internal/service.
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
