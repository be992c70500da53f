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
		Names:       c.names,
	}
}

func (c *Client) url() string {
	if c.NATSURL == "" {
		return "nats://" + string(c.EmbeddedAddr)
	}
	return string(c.NATSURL)
}

// EmbeddedFolder is the folder of the embedded server's streams and key.
func (c *Client) EmbeddedFolder() string { return filepath.Join(c.DataDir, "nats") }

// KeyFile is the file with the key of that server.
func (c *Client) KeyFile() string { return natsconn.KeyFile(c.EmbeddedFolder()) }

// UsesKeyFile reports whether we log in with that key: no server and no other login
// is configured.
func (c *Client) UsesKeyFile() bool {
	options := c.NATS()
	return c.NATSURL == "" && options.Anonymous()
}

// Anonymously is this configuration for a client of the embedded server, which listens at
// this URL, without its key.
func (c *Client) Anonymously(url string) *Client {
	return &Client{NATSURL: serverURL(url), NATSInboxPrefix: c.NATSInboxPrefix, Subject: c.Subject, DataDir: c.DataDir, EmbeddedAddr: c.EmbeddedAddr}
}
