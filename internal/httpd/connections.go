package httpd

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxConnections bounds the open connections of a server, maxProfiling those of the
// profiling server: each takes a file descriptor, and snapshots and NATS need some
// too.
const (
	maxConnections = 100
	maxProfiling   = 10
)

// connections bounds the connections of a server. When there is one too many, the
// longest idle one is closed, so that idle clients keep nobody out; if all others
// have a request in flight, the new one is closed. A listener that stops accepting
// (netutil.LimitListener) would keep a health check waiting, and its connections
// lack CloseWrite, without which a refusal may not reach the client.
type connections struct {
	most int

	mu    sync.Mutex
	since map[net.Conn]uint64 // count when it became idle; 0: it has a request in flight
	count uint64
}

// bound limits the number of connections of a server.
func bound(server *http.Server, most int) {
	c := &connections{most: most, since: make(map[net.Conn]uint64)}
	server.ConnState = c.changed
}

// changed is the server's ConnState callback.
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

// closeIdlest closes the longest idle connection, if any is idle.
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
	// Closing the TLS connection would first notify the client, and wait for that.
	if over, ok := idlest.(*tls.Conn); ok {
		idlest = over.NetConn()
	}
	idlest.Close()
}
