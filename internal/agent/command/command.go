// Package command has the commands of the agent, which are those of rollcall-agent and a
// part of rollcall's. It knows no command line: the parser of rollcall's would make
// rollcall-agent a third larger.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"strings"
	"sync"
	"syscall"

	"github.com/nats-io/nats.go"

	"rollcall/internal/agent"
	"rollcall/internal/agent/spool"
	"rollcall/internal/config"
	"rollcall/internal/natsconn"
	"rollcall/internal/throttle"
)

// Run tells rollcall who is logged in on this machine until the context is done, and writes
// a log; or, once, it writes the events that it would begin with.
func Run(ctx context.Context, out, log io.Writer, once bool) error {
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
	if once {
		events, err := agent.Once(ctx, name)
		if err == nil {
			_, err = out.Write(events)
		}
		return err
	}
	if cfg.NATSURL == "" {
		return config.NewProblem("NATS_URL", "not set", "set it to the NATS server, such as nats://10.0.0.5:4222")
	}
	// journald, which gets the log, may end: that must not end the agent.
	signal.Ignore(syscall.SIGPIPE)
	handler := throttle.New(newHandler(log, &cfg.Logs))
	defer handler.Flush()
	return run(ctx, cfg, name, slog.New(handler))
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
	//guard:set checkOwner(...) error(nil) "root leaves no files in the service's folder" ./internal/agent:TestCommands
	if err := checkOwner(cfg.AgentDir, os.Getuid()); err != nil {
		return err
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
