package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/nats-io/nats.go"

	"rollcall/internal/natsconn"
)

// nats returns how to connect to the server that NATS_URL names or, when it
// is not set, to the one that serve starts.
func (c *Client) nats() natsconn.Options {
	return natsconn.Options{
		URL:         c.url(),
		Creds:       string(c.NATSCreds),
		User:        c.NATSUser,
		Password:    string(c.NATSPassword),
		Token:       string(c.NATSToken),
		NKey:        string(c.NATSNkey),
		CA:          string(c.NATSCA),
		Cert:        string(c.NATSCert),
		Key:         string(c.NATSKey),
		InboxPrefix: string(c.NATSInboxPrefix),
	}
}

func (c *Client) url() string {
	if c.NATSURL == "" {
		return "nats://" + string(c.EmbeddedAddr)
	}
	return string(c.NATSURL)
}

// connect connects a command beside serve. A server that is not there is an
// error at once. What happens to the connection later shows in what is done
// with it, so nothing is logged.
func connect(ctx context.Context, c *Client, more ...nats.Option) (*nats.Conn, error) {
	nc, err := c.dial(ctx, more)
	if err != nil && c.NATSURL == "" {
		return nil, fmt.Errorf("%w; NATS_URL is not set, so this is where \"rollcall serve\" would have its own server", err)
	}
	return nc, err
}

// embeddedFolder is where the server that serve starts stores.
func embeddedFolder(dataDir string) string { return filepath.Join(dataDir, "nats") }

// hasOwnKey reports whether the login is the key in the data folder.
func (c *Client) hasOwnKey() bool {
	options := c.nats()
	return c.NATSURL == "" && options.Anonymous()
}

func (c *Client) ownKey() string { return natsconn.KeyFile(embeddedFolder(c.DataDir)) }

// refused returns what to tell of an error of a connection that is there, if it
// is that the server refuses its login; else nil.
func (c *Client) refused(err error) error {
	refusal := c.nats().Refused(err)
	if refusal != nil && c.hasOwnKey() {
		return fmt.Errorf("the server that \"rollcall serve\" starts refuses the key in %s (%w): see whether ROLLCALL_DATA_DIR is the folder of that service", c.ownKey(), err)
	}
	return refusal
}

// dial connects. To the server that serve starts it does so with the key in the
// data folder, if that can be read and is that server's; else without a login,
// with which events are published and questions asked.
func (c *Client) dial(ctx context.Context, more []nats.Option) (*nats.Conn, error) {
	options, log := c.nats(), slog.New(slog.DiscardHandler)
	if c.hasOwnKey() {
		options.NKey = c.ownKey()
		if nc, err := natsconn.Connect(ctx, options, "rollcall", log, more...); !errors.Is(err, natsconn.ErrConfiguration) {
			return nc, err
		}
		options.NKey = ""
	}
	return natsconn.Connect(ctx, options, "rollcall", log, more...)
}
