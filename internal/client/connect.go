package client

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go"

	"rollcall/internal/config"
	"rollcall/internal/natsconn"
)

// Connect connects a program that asks or publishes. An unreachable server is an
// error at once. Nothing is logged: a later problem of the connection shows as an
// error wherever it is used.
func Connect(ctx context.Context, c *config.Client, more ...nats.Option) (*nats.Conn, error) {
	nc, err := dial(ctx, c, more)
	if err != nil && c.NATSURL == "" {
		return nil, fmt.Errorf("%w; NATS_URL is not set, so this is the address of the server that \"rollcall serve\" starts", err)
	}
	return nc, err
}

// Refused returns the error to report if err, from an established connection, means
// that the server refuses its login; else nil.
func Refused(c *config.Client, err error) error {
	refusal := c.NATS().Refused(err)
	if refusal != nil && c.UsesKeyFile() {
		return fmt.Errorf("the server that \"rollcall serve\" starts refuses the key in %s (%w): set ROLLCALL_DATA_DIR to that service's data folder", c.KeyFile(), err)
	}
	return refusal
}

// dial connects. For the server that serve starts, it uses the key in the data
// folder, if it is readable and valid there; else no login, which is enough to
// publish events and ask questions.
func dial(ctx context.Context, c *config.Client, more []nats.Option) (*nats.Conn, error) {
	options, log := c.NATS(), slog.New(slog.DiscardHandler)
	if c.UsesKeyFile() {
		options.NKey = c.KeyFile()
		if nc, err := natsconn.Connect(ctx, options, "rollcall", log, more...); !errors.Is(err, natsconn.ErrConfiguration) {
			return nc, err
		}
		options.NKey = ""
	}
	return natsconn.Connect(ctx, options, "rollcall", log, more...)
}
