package natsconn

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// renewKey makes a reconnect log in with the key that the NATS_NKEY file holds by
// then. The library reads the seed at each login, but the public key only once:
// with another key in the file, no login would succeed.
//
// The library calls CustomReconnectDelayCB in the goroutine that then logs in, the
// only one that reads Opts.Nkey. Setting Opts.Nkey anywhere else would be a race.
func (o Options) renewKey(n *nats.Options) {
	if o.NKey == "" {
		return
	}
	var lost atomic.Pointer[nats.Conn]
	n.DisconnectedErrCB = both(func(nc *nats.Conn, _ error) { lost.Store(nc) }, n.DisconnectedErrCB)
	delay := n.CustomReconnectDelayCB
	n.CustomReconnectDelayCB = func(tries int) time.Duration {
		var fresh nats.Options
		// The file may be missing for a moment, or half written.
		if nc := lost.Load(); nc != nil && o.applyNKey(&fresh) == nil {
			//guard:drop "a reconnect uses the renewed key" TestRenewedKey
			nc.Opts.Nkey = fresh.Nkey
		}
		return delay(tries)
	}
}
