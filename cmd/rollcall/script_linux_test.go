package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rogpeppe/go-internal/testscript"

	"rollcall/internal/api"
	"rollcall/internal/client"
	"rollcall/internal/test/kit"
)

// TestScripts runs testdata/script: the tool as its users run it. Beside the
// commands of testscript there are
//
//	code N COMMAND…        run it; its exit code must be N
//	tty COLUMNS COMMAND…   run it on a terminal of so many columns; it must succeed
//	nats [USER PASSWORD]   start a NATS server and set NATS_URL
//	serve [NAME=VALUE…]    run the service on that server, with these variables,
//	                       and wait until it is ready
//	read PLACE             wait until it and its history have read to that place
//	stream NAME SUBJECT…   create a stream
//	purge NAME SEQUENCE    remove its messages before that one
//	events NAME            print its messages, "SUBJECT PAYLOAD"
//
// and $SNAPSHOT is the path of a valid snapshot.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:           "testdata/script",
		UpdateScripts: *update,
		Setup: func(e *testscript.Env) error {
			e.Vars = kit.Only(e.Vars...)
			e.Setenv("PATH", binary+string(os.PathListSeparator)+e.Getenv("PATH"))
			good, err := filepath.Abs("../../internal/snapshot/testdata/format-1.rollcall")
			e.Setenv("SNAPSHOT", good)
			return err
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"code":   codeCmd,
			"tty":    func(ts *testscript.TestScript, _ bool, args []string) { ttyCmd(t, ts, args) },
			"nats":   func(ts *testscript.TestScript, _ bool, args []string) { natsCmd(t, ts, args) },
			"serve":  func(ts *testscript.TestScript, _ bool, args []string) { serveScript(t, ts, args) },
			"read":   readCmd,
			"stream": streamCmd,
			"purge":  purgeCmd,
			"events": eventsCmd,
		},
	})
}

func codeCmd(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		got = failed.ExitCode()
	} else {
		ts.Check(err)
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

func natsCmd(t *testing.T, ts *testscript.TestScript, args []string) {
	var options []func(*server.Options)
	if len(args) == 2 {
		options = append(options, kit.WithPassword(args[0], args[1]))
	}
	s := kit.StartServer(t, options...)
	ts.Setenv("NATS_URL", s.URL)
}

func serveScript(t *testing.T, ts *testscript.TestScript, args []string) {
	dir, err := os.MkdirTemp(ts.Getenv("WORK"), "data")
	ts.Check(err)
	p := serve(t, dir, append(args, "NATS_URL="+ts.Getenv("NATS_URL"))...)
	ts.Defer(func() { p.stop(syscall.SIGTERM) })
}

func readCmd(ts *testscript.TestScript, _ bool, args []string) {
	place, err := strconv.ParseUint(args[0], 10, 64)
	ts.Check(err)
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	defer nc.Close()
	for deadline := time.Now().Add(time.Minute); ; {
		data, err := client.One(context.Background(), nc, "rollcall.query.status", api.StatusRequest{})
		ts.Check(err)
		a, err := api.Decode[api.StatusAnswer](data)
		ts.Check(err)
		if a.Place >= place && historyPlace(ts, nc) >= place {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("the service has read to place %d, want %d", a.Place, place)
		}
	}
}

// historyPlace returns the place of the history; the greatest if there is none. Asking
// for it has it written.
func historyPlace(ts *testscript.TestScript, nc *nats.Conn) uint64 {
	data, err := client.One(context.Background(), nc, "rollcall.query.history", api.HistoryRequest{Limit: new(uint32(1))})
	if err != nil && strings.Contains(err.Error(), "keeps no history") {
		return math.MaxUint64
	}
	ts.Check(err)
	a, err := api.Decode[api.HistoryAnswer](data)
	ts.Check(err)
	return a.Place
}

// jetStream connects to the script's server for as long as the script runs.
func jetStream(ts *testscript.TestScript) jetstream.JetStream {
	nc, err := nats.Connect(ts.Getenv("NATS_URL"))
	ts.Check(err)
	ts.Defer(nc.Close)
	js, err := jetstream.New(nc)
	ts.Check(err)
	return js
}

func streamCmd(ts *testscript.TestScript, _ bool, args []string) {
	_, err := jetStream(ts).CreateStream(context.Background(), jetstream.StreamConfig{Name: args[0], Subjects: args[1:]})
	ts.Check(err)
}

func purgeCmd(ts *testscript.TestScript, _ bool, args []string) {
	sequence, err := strconv.ParseUint(args[1], 10, 64)
	ts.Check(err)
	s, err := jetStream(ts).Stream(context.Background(), args[0])
	ts.Check(err)
	ts.Check(s.Purge(context.Background(), jetstream.WithPurgeSequence(sequence)))
}

func eventsCmd(ts *testscript.TestScript, _ bool, args []string) {
	s, err := jetStream(ts).Stream(context.Background(), args[0])
	ts.Check(err)
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		msg, err := s.GetMsg(context.Background(), seq)
		ts.Check(err)
		fmt.Fprintf(ts.Stdout(), "%s %s\n", msg.Subject, msg.Data)
	}
}
