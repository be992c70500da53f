package config

import (
	"path/filepath"

	"rollcall/internal/natsconn"
)

// NATS returns how to connect to the server that NATS_URL names or, when it
// is not set, to the one that serve starts.
func (c *Client) NATS() natsconn.Options {
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

// EmbeddedFolder is where the server that serve starts keeps its streams and its key.
func (c *Client) EmbeddedFolder() string { return filepath.Join(c.DataDir, "nats") }

// KeyFile is the file with the key of that server.
func (c *Client) KeyFile() string { return natsconn.KeyFile(c.EmbeddedFolder()) }

// UsesKeyFile reports whether a login is by that key: no server is named, and no other
// login.
func (c *Client) UsesKeyFile() bool {
	options := c.NATS()
	return c.NATSURL == "" && options.Anonymous()
}
