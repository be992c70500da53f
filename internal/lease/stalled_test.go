package lease

import (
	"context"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/test/kit"
)

// valve connects a client over a link on which writing blocks while it is shut.
type valve struct{ sync.RWMutex }

// Dial implements [nats.CustomDialer].
func (v *valve) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	return &valveConn{conn, v}, err
}

type valveConn struct {
	net.Conn
	valve *valve
}

func (c *valveConn) Write(b []byte) (int, error) {
	c.valve.RLock()
	defer c.valve.RUnlock()
	return c.Conn.Write(b)
}

// TestStalled: while the connection is stalled, so that publishing blocks, the lease ends
// in time, and Release and Run return.
func TestStalled(t *testing.T) {
	c := newCluster(t)
	c.free()
	var v valve
	a := run(t, New(c.config(shortTTL, nats.SetCustomDialer(&v))))
	c.awaitActive(a)
	v.Lock()
	defer v.Unlock()
	kit.Eventually(t, func() bool { return !a.Valid() && c.log.Has("the connection to NATS is stalled") }, "the lease has ended")
	ctx, cancel := context.WithTimeout(t.Context(), shortTTL)
	defer cancel()
	if err := a.Release(ctx); err == nil {
		t.Error("it claims to have released the lease")
	}
	ended := make(chan struct{})
	go func() { a.kill(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("Run does not return")
	}
}
