// Command rollcall keeps a roster of who is logged in where, from login and
// logout events that agents publish to NATS.
//
//	rollcall serve           run the service
//	rollcall web             serve a page that shows who is logged in where
//	rollcall publish         send events from JSON Lines, or one given by flags
//	rollcall report          print who is logged in where
//	rollcall who             print who is logged in on a machine
//	rollcall where           print where a user is logged in
//	rollcall history         print who was logged in where, from when to when
//	rollcall history backup  copy the history to a file
//	rollcall watch           print who is logged in where, and each change
//	rollcall deadletters     print the messages that were refused, and why
//	rollcall status          show the service's status
//	rollcall healthcheck     check whether the service is alive, or ready
//	rollcall standby         fetch what the active service knows
//	rollcall snapshot        inspect a snapshot
//	rollcall enroll          make credentials for machines and readers
//	rollcall streams         create the streams that are missing, and check them
//	rollcall agent           tell rollcall who is logged in on this machine
//	rollcall completion      print a shell completion script
//	rollcall version         print the version
//
// commands.go lists the commands and has exit codes and error output;
// <name>_command.go implements each command; queryflags.go has what those that ask the
// service share; table.go formats their output. Everything else is in packages under
// internal: the service itself in internal/service.
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
