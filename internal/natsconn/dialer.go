package natsconn

import (
	"context"
	"net"
	"time"
)

// dialer opens the connections to servers, the first one and those that replace
// it, until its context ends; that ends a handshake under way, too. The library
// holds its lock from dialing to the end of the handshake: to whoever asks
// anything of the connection meanwhile, Close included, a server that says
// nothing would cost dialTimeout.
type dialer struct{ ctx context.Context }

// Dial implements [nats.CustomDialer].
func (d dialer) Dial(network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{Timeout: dialTimeout}).DialContext(d.ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &handshaking{conn, context.AfterFunc(d.ctx, func() { conn.Close() })}, nil
}

// handshaking is a connection that its context closes until the handshake is
// over: then the library takes back the deadline that it has set for that.
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
