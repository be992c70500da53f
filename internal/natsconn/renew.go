package natsconn

import (
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// renewKey makes each reconnect log in with the key that the NATS_NKEY file contains
// at that time. The library reads the seed at each login but the public key only
// once, so after a change of the file every login would fail.
//
// The library calls CustomReconnectDelayCB in the goroutine that then logs in, the
// only one that reads Opts.Nkey. Setting Opts.Nkey anywhere else would be a race.
func (o Options) renewKey(n *nats.Options) {
	if o.NKey == "" {
		return
	}
	var lost atomic.Pointer[nats.Conn]
	n.DisconnectedErrCB = chain(func(nc *nats.Conn, _ error) { lost.Store(nc) }, n.DisconnectedErrCB)
	delay := n.CustomReconnectDelayCB
	n.CustomReconnectDelayCB = func(attempts int) time.Duration {
		var fresh nats.Options
		// The file may be missing for a moment, or half written.
		if nc := lost.Load(); nc != nil && o.applyNKey(&fresh) == nil {
			//guard:drop "a reconnect uses the renewed key" TestRenewedKey
			nc.Opts.Nkey = fresh.Nkey
		}
		return delay(attempts)
	}
}
