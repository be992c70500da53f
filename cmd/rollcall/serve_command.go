package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/service"
	"rollcall/internal/throttle"
)

type serveCmd struct{}

// Help is the text of "rollcall serve --help" before the variables.
func (serveCmd) Help() string {
	return `Without NATS_URL, it starts an embedded NATS server with JetStream, which any NATS client can connect to; with NATS_URL, it uses that server. With the embedded server it also serves the page of "rollcall web", at ROLLCALL_PAGE_ADDR. It creates missing streams. It runs until interrupted or terminated, then writes a last snapshot and ends with exit code 0.

Examples:

    rollcall serve
    NATS_URL=nats://10.0.0.5:4222 rollcall serve`
}

// gcPercent is by how much the heap grows before garbage is collected, unless GOGC is set. Most of
// the heap is the roster, which stays: with Go's 100 the heap would grow to twice the roster.
const gcPercent = 50

// Run runs the service until ctx is done.
func (serveCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadServe(httpd.CheckWebConfig)
	if err != nil {
		return err
	}
	// Whoever reads the log may end: that must not end the service.
	signal.Ignore(syscall.SIGPIPE)
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
	throttled := throttle.New(newHandler(std.err, &cfg.Logs))
	defer throttled.Flush()
	log := slog.New(throttled)
	return service.Run(ctx, *cfg, service.Build{Version: buildVersion(), Revision: revision()}, log)
}

// newHandler returns the handler of a log. Unless the configuration names a
// format, that is text on a terminal and JSON elsewhere.
func newHandler(w io.Writer, cfg *config.Logs) slog.Handler {
	options := &slog.HandlerOptions{Level: slog.Level(cfg.LogLevel)}
	if isTerminal(w) {
		options.ReplaceAttr = shorten
	}
	if cfg.LogFormat == "text" || cfg.LogFormat == "" && isTerminal(w) {
		return slog.NewTextHandler(w, options)
	}
	return slog.NewJSONHandler(w, options)
}

// shorten omits the date and the level INFO, which are not needed at a terminal.
func shorten(groups []string, a slog.Attr) slog.Attr {
	switch {
	case len(groups) > 0:
	case a.Key == slog.TimeKey:
		return slog.String(a.Key, a.Value.Time().Format(time.TimeOnly))
	case a.Key == slog.LevelKey && a.Value.Any() == slog.LevelInfo:
		return slog.Attr{}
	}
	return a
}
