package natsconn

import (
	"context"
	"net"
	"time"
)

// dialer dials servers, for the first connection and for reconnects, until its
// context ends; that also aborts a handshake in progress. The library holds its
// lock from dialing to the end of the handshake. So a server that sends nothing
// would block every other call on the connection, Close included, for up to
// dialTimeout.
type dialer struct{ ctx context.Context }

// Dial implements [nats.CustomDialer].
func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &handshaking{conn, context.AfterFunc(d.ctx, func() { conn.Close() })}, nil
}

// handshaking is a connection that is closed when the context ends, but only until
// the handshake is over: the library then clears the deadline that it had set for
// it.
type handshaking struct {
	net.Conn
	over func() bool
}

func (h *handshaking) SetDeadline(t time.Time) error {
	if t.IsZero() {
		h.over()
	}
	return h.Conn.SetDeadline(t)
}
