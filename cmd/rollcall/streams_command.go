package main

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/client"
	"rollcall/internal/config"
	"rollcall/internal/natsconn"
)

type streamsCmd struct{ connFlags }

// Help is the text of "rollcall streams --help" before the flags.
func (streamsCmd) Help() string {
	return `The service creates its streams itself where it may. Where it may not, the admin does by this command. A stream that exists is never changed; with which of its settings events may be lost is logged. ROLLCALL_STREAM_REPLICAS and ROLLCALL_STREAM_MAX_BYTES are those of the streams that it creates.

Examples:

    rollcall streams
    ROLLCALL_STREAM_MAX_BYTES=10GiB rollcall streams`
}

// Run creates the streams that are missing.
func (c *streamsCmd) Run(ctx context.Context, std streams) error {
	cfg, err := config.ReadStreams(c.given())
	if err != nil {
		return err
	}
	ctx, js, err := connectJetStream(ctx, cfg)
	if err != nil {
		return err
	}
	defer js.Conn().Close()
	s := natsconn.Streams{
		Subjects: cfg.Subjects(),
		Events:   string(cfg.Stream), Reports: string(cfg.ReportsStream), DeadLetters: string(cfg.DeadlettersStream),
		MaxAge: time.Duration(cfg.StreamMaxAge), MaxBytes: int64(cfg.StreamMaxBytes), Replicas: int(cfg.StreamReplicas),
	}
	info, err := natsconn.Prepare(ctx, js, s, slog.New(slog.NewTextHandler(std.err, nil)))
	if err != nil {
		return fmt.Errorf("streams: %w", err)
	}
	_, err = fmt.Fprintf(std.out, "ready: %s, %s, %s%s\n", s.Events, s.Reports, s.DeadLetters, natsconn.Domain(info.Domain).In())
	return err
}

// connectJetStream connects to the JetStream of the streams. See [client.Connect] for the
// context that it returns.
func connectJetStream(ctx context.Context, cfg *config.ForStreams) (context.Context, jetstream.JetStream, error) {
	ctx, conn, err := client.Connect(ctx, &cfg.Client)
	if err != nil {
		return nil, nil, err
	}
	js, err := cfg.Domain().JetStream(conn)
	if err != nil {
		conn.Close()
		return nil, nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return ctx, js, nil
}
