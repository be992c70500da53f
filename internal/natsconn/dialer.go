package natsconn

import (
	"context"
	"net"
	"time"
)

// dialer dials servers, for the first connection and for reconnects, until its
// context ends; that also aborts a handshake in progress. The library holds its
// lock from dialing to the end of the handshake, so a server that sends nothing
// would block every other call on the connection, even Close, for up to dialTimeout.
type dialer struct{ ctx context.Context }

// Dial implements [nats.CustomDialer].
func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &handshaking{conn, context.AfterFunc(d.ctx, func() { conn.Close() })}, nil
}

// handshaking closes the connection if the context ends before the handshake does.
// The library marks the end of the handshake by clearing the deadline.
type handshaking struct {
	net.Conn
	stop func() bool // of the context.AfterFunc that closes it
}

func (h *handshaking) SetDeadline(t time.Time) error {
	if t.IsZero() {
		h.stop()
	}
	return h.Conn.SetDeadline(t)
}
