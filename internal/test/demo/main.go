// Command demo runs rollcall with an invented fleet that has a day of history behind it, for
// tests in a browser, for screenshots, and to look at:
//
//	go run ./internal/test/demo -machines 10000
//
// It stores the events of a day in a NATS server of its own, starts "rollcall serve" and "rollcall
// web" as processes, and goes on publishing events until it is interrupted. When all is ready it
// prints one line of JSON: where each of them listens. Everything else is written to stderr.
//
// With -commands it reads commands from stdin, one a line, answers each with a line
// of JSON, and ends with stdin: "kill service", "stop service" and "start service", the same for
// page; "pause", so that nobody comes or goes, and "resume".
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"rollcall/internal/test/demo/fleet"
)

// options are what the flags say.
type options struct {
	fleet                   fleet.Options
	rate                    float64
	incomplete, commands    bool
	page, http, nats        string
	folder, program, loglvl string
}

func main() {
	var o options
	flag.IntVar(&o.fleet.Machines, "machines", 300, "how many machines; 0: nobody has ever sent an event")
	flag.IntVar(&o.fleet.Hours, "hours", 26, "how many hours of history")
	flag.Uint64Var(&o.fleet.Seed, "seed", 1, "the same seed gives the same fleet")
	flag.BoolVar(&o.fleet.Strange, "strange", false, "add machines and users with unusual names")
	flag.Float64Var(&o.rate, "rate", -1, "how many logins and logouts a second from now on; default: 5 for 10,000 machines, fewer for fewer")
	flag.BoolVar(&o.incomplete, "incomplete", false, "lose some events, so that the roster is incomplete")
	flag.BoolVar(&o.commands, "commands", false, "read commands from stdin")
	flag.StringVar(&o.page, "addr", "127.0.0.1:0", "address of the page; port 0: any free one")
	flag.StringVar(&o.http, "http", "127.0.0.1:0", "address of metrics and health")
	flag.StringVar(&o.nats, "nats", "127.0.0.1:0", "address of the NATS server")
	flag.StringVar(&o.folder, "keep", "", "folder to keep all data in: a second start within hours is quick")
	flag.StringVar(&o.program, "rollcall", "", "the program; built if it is not given")
	flag.StringVar(&o.loglvl, "log", "warn", "log level of the processes")
	flag.Parse()
	if flag.NArg() > 0 || o.fleet.Machines < 0 || o.fleet.Hours < 1 {
		fmt.Fprintln(os.Stderr, "demo: want at least one hour, and no arguments; see demo -help")
		os.Exit(2)
	}
	if o.rate < 0 {
		o.rate = min(5, max(0.2, float64(o.fleet.Machines)/2000))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	if err := run(ctx, o, os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

// ready is what is printed when all is.
type ready struct {
	NATS string `json:"nats"`
	HTTP string `json:"http"`
	// Page is empty if the program has no page.
	Page string `json:"page,omitempty"`
	// Program is the path of rollcall. Service and PagePID are its processes.
	Program string `json:"rollcall"`
	Service int    `json:"service_pid"`
	PagePID int    `json:"page_pid,omitempty"`
	// Now is the end of the history. In Zone it is about ten past three then.
	Now      time.Time `json:"now"`
	Zone     string    `json:"zone"`
	Machines int       `json:"machines"`
}

var log = slog.New(slog.NewTextHandler(os.Stderr, nil))

func run(ctx context.Context, o options, in io.Reader, out io.Writer) (err error) {
	if o.folder == "" {
		if o.folder, err = os.MkdirTemp("", "rollcall-demo"); err != nil {
			return err
		}
		defer os.RemoveAll(o.folder)
	}
	if o.program == "" {
		if o.program, err = buildProgram(ctx, o.folder); err != nil {
			return err
		}
	}
	store, err := openStore(ctx, &o)
	if err != nil {
		return err
	}
	defer store.close()
	f := fleet.New(o.fleet)
	p, err := newProcesses(o, store.url, f)
	if err != nil {
		return err
	}
	defer p.end()
	if err := p.startAll(ctx); err != nil {
		return err
	}
	l, err := newLive(ctx, f, store)
	if err != nil {
		return err
	}
	defer l.close()
	if err := awaitHistory(ctx, l.nc); err != nil {
		return err
	}
	if err := json.NewEncoder(out).Encode(ready{
		NATS: store.url, HTTP: "http://" + p.service.addr, Page: p.page.url(), Program: o.program,
		Service: p.service.pid(), PagePID: p.page.pid(), Now: o.fleet.Now.UTC(), Zone: zone(o.fleet.Now), Machines: f.Len(),
	}); err != nil {
		return err
	}
	c := &console{out: json.NewEncoder(out), processes: p}
	if o.commands {
		c.lines = readLines(in)
	}
	return l.run(ctx, o.rate, c)
}

// zone is the time zone, of whole hours, in which it is nearest to ten past three in the
// afternoon. The sign in its name is the wrong way round, as in all of these.
func zone(now time.Time) string {
	now = now.UTC()
	of := fleet.Clock - now.Sub(now.Truncate(24*time.Hour))
	hours := int((of+12*time.Hour+30*time.Minute).Truncate(time.Hour)/time.Hour) - 12
	return fmt.Sprintf("Etc/GMT%+d", -hours)
}
