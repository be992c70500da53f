package httpd

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// A server has at most maxConnections open, a server of profiles maxProfiling:
// each takes a file descriptor, of which snapshots and NATS need some too.
const (
	maxConnections = 100
	maxProfiling   = 10
)

// connections are those of a server. For one too many the one is closed that has
// waited longest for a request, so that idle clients keep nobody out; it is the
// new one where all others have a request under way. A listener that accepts no
// more (netutil.LimitListener) would keep a health check waiting, and its
// connections lack CloseWrite, without which a refusal may not reach the client.
type connections struct {
	most int

	mu    sync.Mutex
	since map[net.Conn]uint64 // since when each waits for a request, as a count; 0: it has one
	count uint64
}

// bound bounds the connections of a server.
func bound(server *http.Server, most int) {
	c := &connections{most: most, since: make(map[net.Conn]uint64)}
	server.ConnState = c.changed
}

// changed is told what becomes of a connection.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		c.count++
		c.since[conn] = c.count
	case http.StateActive:
		c.since[conn] = 0
	case http.StateHijacked, http.StateClosed:
		delete(c.since, conn)
	}
	//guard:false "clients take no descriptor that a snapshot needs" TestIdleConnections
	if state == http.StateNew && len(c.since) > c.most {
		c.closeIdlest()
	}
}

// closeIdlest closes the connection that has waited longest, if any waits.
func (c *connections) closeIdlest() {
	var idlest net.Conn
	for conn, since := range c.since {
		//guard:drop "since != 0" "an answer under way is not cut off" TestBusyConnections
		if since != 0 && (idlest == nil || since < c.since[idlest]) {
			idlest = conn
		}
	}
	if idlest == nil {
		return
	}
	delete(c.since, idlest)
	// Closing TLS would tell the client first, and wait for that.
	if over, ok := idlest.(*tls.Conn); ok {
		idlest = over.NetConn()
	}
	idlest.Close()
}
