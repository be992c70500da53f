package main

import (
	"context"
	"log/slog"
	"os/signal"
	"syscall"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/sdnotify"
	"rollcall/internal/throttle"
	"rollcall/internal/web/server"
)

type webCmd struct {
	connFlags
}

// Help is the text of "rollcall web --help" before the flags.
func (webCmd) Help() string {
	return `Serves a page that shows who is logged in where, now and at any past moment, at the address in ROLLCALL_PAGE_ADDR. It asks the service over NATS, like the other commands, and changes nothing: a reader's credentials are enough. It can run on any machine, and more than once. If NATS or the service cannot be reached, the page says so, and it tries again. It runs until interrupted or terminated, and then ends with exit code 0. "rollcall serve" without NATS_URL serves the same page.

The page names people, so it is not served to other machines without a login: give it users, or client certificates, in ROLLCALL_PAGE_CONFIG_FILE, or put a proxy that logs users in before it.

Examples:

    rollcall web
    ROLLCALL_PAGE_ADDR=127.0.0.1:8089 rollcall web --server nats://10.0.0.5:4222`
}

// Run serves the page until ctx is done.
func (c *webCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadPage(c.given(), httpd.CheckWebConfig)
	if err != nil {
		return err
	}
	// Whoever reads the log may end: that must not end the page.
	signal.Ignore(syscall.SIGPIPE)
	throttled := throttle.New(newHandler(std.err, &cfg.Logs))
	defer throttled.Flush()
	log := slog.New(throttled)
	page, err := server.Listen(&cfg.Page, cfg.Subjects(), string(cfg.DeadlettersStream), buildVersion(), log)
	if err != nil {
		return err
	}
	notify := func(state string) {
		if err := sdnotify.Send(state); err != nil {
			log.Debug("notifying systemd failed", "err", err)
		}
	}
	notify("READY=1")
	defer context.AfterFunc(ctx, func() { notify("STOPPING=1") })()
	return page.Run(ctx, &cfg.Client)
}
