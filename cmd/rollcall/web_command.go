package main

import (
	"context"
	"errors"
	"fmt"
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
	AddUser string `placeholder:"NAME" help:"Add a user to FILE, print the user's new password, and end. A user who is there keeps the password."`
	File    string `arg:"" optional:"" name:"file" help:"With --add-user: the web configuration file, which is made if it is missing."`
	connFlags
}

// Validate refuses flags that cannot be combined.
func (c *webCmd) Validate() error {
	switch {
	case c.AddUser == "" && c.File != "":
		return errors.New("a file goes with --add-user only: for the page set ROLLCALL_PAGE_CONFIG_FILE")
	case c.AddUser != "" && c.File == "":
		return errors.New("--add-user needs the file to which it adds the user")
	}
	return nil
}

// Help is the text of "rollcall web --help" before the flags.
func (webCmd) Help() string {
	return `Serves a page that shows who is logged in where, now and at any past moment, at the address in ROLLCALL_PAGE_ADDR. It asks the service over NATS, like the other commands, and changes nothing: a reader's credentials are enough. It can run on any machine, and more than once. If NATS or the service cannot be reached, the page says so, and it tries again. It runs until interrupted or terminated, and then ends with exit code 0. "rollcall serve" without NATS_URL serves the same page.

The page names people, so it is not served to other machines without a login: give it users, or client certificates, in ROLLCALL_PAGE_CONFIG_FILE, or put a proxy that logs users in before it.

Examples:

    rollcall web
    rollcall web --add-user ada page.yml
    ROLLCALL_PAGE_ADDR=127.0.0.1:8089 rollcall web --server nats://10.0.0.5:4222`
}

// Run serves the page until ctx is done, or adds a user.
func (c *webCmd) Run(ctx context.Context, std streams) error {
	if c.AddUser != "" {
		return c.addUser(std)
	}
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

// addUser adds a user to the file.
func (c *webCmd) addUser(std streams) error {
	password, err := httpd.AddUser(c.File, c.AddUser)
	if err != nil {
		return fmt.Errorf("web: %w", err)
	}
	if password == "" {
		fmt.Fprintf(std.err, "rollcall: web: %s has a password in %s already: to make another, remove that line first\n", printable(c.AddUser), c.File)
		return nil
	}
	_, err = fmt.Fprintf(std.out, "%s: %s\n", printable(c.AddUser), password)
	return err
}
