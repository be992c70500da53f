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
//
// Connect also returns a context for requests on the connection. It is canceled, with a
// [*natsconn.Denial] as its cause, once the server denies a permission: nothing else would
// end the wait for an answer.
func Connect(ctx context.Context, c *config.Client, more ...nats.Option) (context.Context, *nats.Conn, error) {
	asked, cancel := context.WithCancelCause(ctx)
	nc, err := dial(asked, c, append(more, onDenial(c, cancel)))
	if err != nil {
		cancel(nil)
	}
	if err != nil && c.NATSURL == "" {
		err = fmt.Errorf("%w; NATS_URL is not set, so this is the address of the server that \"rollcall serve\" starts", err)
	}
	return asked, nc, err
}

// onDenial returns the option that calls cancel with each denied permission, before the
// error handler that the options already have.
func onDenial(c *config.Client, cancel context.CancelCauseFunc) nats.Option {
	return func(o *nats.Options) error {
		handle := o.AsyncErrorCB
		o.AsyncErrorCB = func(nc *nats.Conn, sub *nats.Subscription, err error) {
			//guard:false "a denied permission ends the wait for an answer" ./cmd/rollcall:TestDenied
			if denial := c.NATS().Denied(err); denial != nil {
				cancel(denial)
			}
			if handle != nil {
				handle(nc, sub, err)
			}
		}
		return nil
	}
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
