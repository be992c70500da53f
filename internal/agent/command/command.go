// Package command is the command line of the agent: that of rollcall-agent, and a part of
// rollcall's.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/alecthomas/kong"
	"github.com/nats-io/nats.go"

	"rollcall/internal/agent"
	"rollcall/internal/agent/spool"
	"rollcall/internal/config"
	"rollcall/internal/natsconn"
	"rollcall/internal/throttle"
)

// Streams are the standard streams of a command.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Agent is the command, with those below it.
type Agent struct {
	Run    runCmd    `cmd:"" default:"withargs" help:"Tell rollcall who is logged in on this machine, until a signal ends it."`
	Status statusCmd `cmd:"" help:"Print the state of the agent on this machine."`
	Tell   tellCmd   `cmd:"" help:"Tell the agent of a login or logout that logind does not see."`
}

type runCmd struct {
	Once bool `help:"Print the events that it would begin with, in JSON, and end."`
}

// Help is the text before the flags.
func (runCmd) Help() string {
	return `It asks systemd who is logged in, and follows its journal: each login and logout becomes an event, which is kept on disk until the NATS server has stored it. It needs Linux with systemd, and NATS_URL.`
}

// PrintHelp prints the help of a command of the agent; that of run lists the variables, too.
func PrintHelp(options kong.HelpOptions, ctx *kong.Context) error {
	err := kong.DefaultHelpPrinter(options, ctx)
	if selected := ctx.Selected(); err == nil && selected != nil && selected.Name == "run" {
		_, err = io.WriteString(ctx.Stdout, "\nEnvironment variables, with defaults in brackets, beside NATS_URL, NATS_CREDS and\n"+
			"the others that begin with NATS_:\n\n"+config.Describe(config.AgentVariables(), 80))
	}
	return err
}

// Run runs the agent.
func (c *runCmd) Run(ctx context.Context, std Streams) error {
	cfg, err := config.ReadAgent()
	if err != nil {
		return err
	}
	name, err := cfg.Name()
	if err != nil {
		return err
	}
	if missing := missing(); missing != "" {
		return natsconn.Misconfigured("this machine cannot run the agent: %s", missing)
	}
	if c.Once {
		events, err := agent.Once(ctx, name)
		if err == nil {
			_, err = std.Out.Write(events)
		}
		return err
	}
	log := throttle.New(newHandler(std.Err, &cfg.Logs))
	defer log.Flush()
	return run(ctx, cfg, name, slog.New(log))
}

// newHandler returns the handler of the log, which the journal reads best as text.
func newHandler(w io.Writer, cfg *config.Logs) slog.Handler {
	options := &slog.HandlerOptions{Level: slog.Level(cfg.LogLevel)}
	if cfg.LogFormat == "json" {
		return slog.NewJSONHandler(w, options)
	}
	return slog.NewTextHandler(w, options)
}

// missing returns what this machine lacks, or "".
func missing() string {
	if runtime.GOOS != "linux" {
		return "it is for Linux with systemd"
	}
	if _, err := os.Stat("/run/systemd/system"); err != nil {
		return "it needs systemd: " + err.Error()
	}
	return ""
}

// run runs the agent until the context is done.
func run(ctx context.Context, cfg *config.Agent, name string, log *slog.Logger) error {
	machineID, err := os.ReadFile("/etc/machine-id")
	if err != nil {
		return fmt.Errorf("reading the machine's id: %w", err)
	}
	kept, err := spool.Open(cfg.AgentDir, spool.Config{Max: int64(cfg.AgentSpool), MachineID: strings.TrimSpace(string(machineID)), Log: log})
	if err != nil {
		return err
	}
	defer kept.Close()
	a, err := agent.New(agent.Config{
		Machine: name, Every: cfg.Every(), Since: agent.Since(cfg.AgentSince), Subjects: cfg.Subjects(), Dir: cfg.AgentDir, Spool: kept, Log: log,
	})
	if err != nil {
		return err
	}
	log.Info("agent of a machine", "machine", name, "origin", kept.Origin(), "waiting", kept.Stats().Waiting)
	// What publishes and answers goes on until the last event is stored.
	publishing, stop := context.WithCancel(context.WithoutCancel(ctx))
	var g sync.WaitGroup
	defer g.Wait()
	defer stop()
	failed := make(chan error, 2)
	g.Go(func() {
		failed <- a.Publish(publishing, func(ctx context.Context, options ...nats.Option) (*nats.Conn, error) {
			return natsconn.Await(ctx, cfg.NATS(), "rollcall-agent", log, nil, options...)
		})
	})
	g.Go(func() { failed <- a.Listen(publishing, cfg.AgentSocket) })
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go func() {
		select {
		case err := <-failed:
			cancel(err)
		case <-publishing.Done():
		}
	}()
	err = a.Run(ctx)
	if cause := context.Cause(ctx); cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}
