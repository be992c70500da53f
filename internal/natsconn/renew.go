package natsconn

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// renewKey makes a connection that comes back log in with the key that the file
// of NATS_NKEY has by then. The library reads the seed at each login, but the
// public key only once: with another key in the file no login would succeed.
//
// The library calls the delay in the goroutine that then logs in, which alone
// reads Opts.Nkey; anywhere else it would be a race to set that.
func (o Options) renewKey(n *nats.Options) {
	if o.NKey == "" {
		return
	}
	var lost atomic.Pointer[nats.Conn]
	n.DisconnectedErrCB = both(func(nc *nats.Conn, _ error) { lost.Store(nc) }, n.DisconnectedErrCB)
	delay := n.CustomReconnectDelayCB
	n.CustomReconnectDelayCB = func(tries int) time.Duration {
		var fresh nats.Options
		// The file may be away for a moment, or half written.
		if nc := lost.Load(); nc != nil && o.applyNKey(&fresh) == nil {
			//guard:drop "a reconnect uses the renewed key" TestRenewedKey
			nc.Opts.Nkey = fresh.Nkey
		}
		return delay(tries)
	}
}
