package httpd

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxConnections bounds the open connections of a server, maxProfilingConnections
// those of the profiling server. Each uses a file descriptor, which snapshots and
// NATS need too.
const (
	maxConnections          = 100
	maxProfilingConnections = 10
)

// connections bounds the connections of a server. One too many closes the longest
// idle one, so that idle clients keep nobody out; if all others have a request in
// flight, the new one is closed. netutil.LimitListener would keep a health check
// waiting instead, and its connections lack CloseWrite, without which an error
// response may not reach the client.
type connections struct {
	limit int

	mu        sync.Mutex
	idleSince map[net.Conn]uint64 // count when it became idle; 0: it has a request in flight
	count     uint64
}

// bound limits the number of connections of a server.
func bound(server *http.Server, limit int) {
	c := &connections{limit: limit, idleSince: make(map[net.Conn]uint64)}
	server.ConnState = c.changed
}

// changed is the server's ConnState callback.
func (c *connections) changed(conn net.Conn, state http.ConnState) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch state {
	case http.StateNew, http.StateIdle:
		c.count++
		c.idleSince[conn] = c.count
	case http.StateActive:
		c.idleSince[conn] = 0
	case http.StateHijacked, http.StateClosed:
		delete(c.idleSince, conn)
	}
	//guard:false "clients don't use up the file descriptors" TestIdleConnections
	if state == http.StateNew && len(c.idleSince) > c.limit {
		c.closeLongestIdle()
	}
}

// closeLongestIdle closes the longest idle connection, if any is idle.
func (c *connections) closeLongestIdle() {
	var longest net.Conn
	for conn, since := range c.idleSince {
		//guard:drop "since != 0" "an answer in flight is not cut off" TestBusyConnections
		if since != 0 && (longest == nil || since < c.idleSince[longest]) {
			longest = conn
		}
	}
	if longest == nil {
		return
	}
	delete(c.idleSince, longest)
	// Closing the TLS connection would first notify the client, and wait for that.
	if conn, ok := longest.(*tls.Conn); ok {
		longest = conn.NetConn()
	}
	longest.Close()
}
