package main

import (
	"context"
	"errors"
	"fmt"

	"rollcall/internal/config"
	"rollcall/internal/handover"
)

type standbyCmd struct {
	Fetch standbyFetchCmd `cmd:"" help:"Fetch what the active service knows."`
}

type standbyFetchCmd struct{ connFlags }

// Help is the text of "rollcall standby fetch --help" before the flags.
func (standbyFetchCmd) Help() string {
	return `For a service that stands by (ROLLCALL_STANDBY) and differs from the active one. Run it on the machine of the service that differs, with its ROLLCALL_DATA_DIR: it fetches a snapshot and the history of the active one into the data folder. Then restart the service: it puts them in place, moves what it had to the folder replaced-PLACE, and reads on. A service whose data folder is empty does so at its start by itself.

Examples:

    rollcall standby fetch
    systemctl restart rollcall`
}

// Run fetches a hand-over.
func (c *standbyFetchCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadStreams(c.given())
	if err != nil {
		return err
	}
	ctx, js, err := connectJetStream(ctx, cfg)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	m, err := handover.Fetch(ctx, js.Conn(), js, cfg.Subjects(), cfg.DataDir)
	if errors.Is(err, handover.ErrNobody) {
		err = fmt.Errorf("%w: is a service with ROLLCALL_STANDBY=true running? See rollcall status --all", err)
	}
	if err != nil {
		return fmt.Errorf("standby fetch: %w", err)
	}
	_, err = fmt.Fprintf(std.out, "fetched to %s, up to place %d: restart the service\n", cfg.DataDir, m.Place)
	return err
}
