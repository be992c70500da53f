package faults

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is a link to a server that can fail. A fault affects all connections through it,
// including new ones, until heal.
type proxy struct {
	// URL is where clients connect.
	URL string

	server   string
	listener *net.TCPListener
	forwards sync.WaitGroup

	mu      sync.Mutex
	links   map[*proxyConn]bool
	refuse  bool
	stalled map[direction]bool
	rate    int // in bytes a second; 0 is no limit
	changed chan struct{}
	ended   bool
}

// proxyConn is one connection through a proxy.
type proxyConn struct{ client, server *net.TCPConn }

type direction int

const (
	toServer direction = iota
	toClient
)

// newProxy starts a proxy for a server. It is closed when the test ends.
func newProxy(t *testing.T, serverURL string) *proxy {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		URL: "nats://" + l.Addr().String(), server: strings.TrimPrefix(serverURL, "nats://"), listener: l,
		links: map[*proxyConn]bool{}, changed: make(chan struct{}),
	}
	p.forwards.Go(p.accept)
	t.Cleanup(p.close)
	return p
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.AcceptTCP()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		if err != nil {
			reset(client)
			continue
		}
		p.open(&proxyConn{client, server.(*net.TCPConn)})
	}
}

func (p *proxy) open(l *proxyConn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.refuse || p.ended {
		reset(l.client)
		reset(l.server)
		return
	}
	p.links[l] = true
	p.forwards.Go(func() { p.forward(l, l.server, l.client, toServer) })
	p.forwards.Go(func() { p.forward(l, l.client, l.server, toClient) })
}

// forward copies in one direction until either end is closed.
func (p *proxy) forward(l *proxyConn, to, from *net.TCPConn, d direction) {
	for buf := make([]byte, 4<<10); ; {
		n, err := from.Read(buf)
		if err != nil || !p.throttle(d, n) {
			break
		}
		if _, err := to.Write(buf[:n]); err != nil {
			break
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.links[l] { // and not half-open
		delete(p.links, l)
		reset(l.client)
		reset(l.server)
	}
}

// throttle waits until n bytes may be forwarded in a direction. It returns false when
// the proxy is closed.
func (p *proxy) throttle(d direction, n int) bool {
	for {
		p.mu.Lock()
		silent, rate, changed, ended := p.stalled[d], p.rate, p.changed, p.ended
		p.mu.Unlock()
		switch {
		case ended:
			return false
		case silent:
			<-changed
			continue
		case rate > 0:
			<-time.After(time.Duration(n) * time.Second / time.Duration(rate))
		}
		return true
	}
}

// change changes the proxy's faults.
func (p *proxy) change(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// cut resets all connections, and each new one.
func (p *proxy) cut() {
	p.change(func() {
		p.refuse = true
		for l := range p.links {
			reset(l.client)
			reset(l.server)
		}
		clear(p.links)
	})
}

// stall forwards nothing in these directions, and leaves the connections open.
func (p *proxy) stall(directions ...direction) {
	p.change(func() {
		p.stalled = map[direction]bool{}
		for _, d := range directions {
			p.stalled[d] = true
		}
	})
}

// slow limits the rate in each direction, in bytes a second.
func (p *proxy) slow(rate int) { p.change(func() { p.rate = rate }) }

// halfOpen resets the existing connections on the server's side only, so that clients do
// not notice. New ones work.
func (p *proxy) halfOpen() {
	p.change(func() {
		for l := range p.links {
			reset(l.server)
			p.links[l] = false
		}
	})
}

// inject sends a text to the clients as if the server had sent it.
func (p *proxy) inject(text string) {
	p.change(func() {
		for l := range p.links {
			l.client.Write([]byte(text)) //nolint:errcheck // it may be gone
		}
	})
}

// heal ends all faults.
func (p *proxy) heal() {
	p.change(func() { p.refuse, p.stalled, p.rate = false, nil, 0 })
}

func (p *proxy) close() {
	p.listener.Close()
	p.change(func() {
		p.ended = true
		for l := range p.links {
			reset(l.client)
			reset(l.server)
		}
	})
	p.forwards.Wait()
}

// reset closes a connection with a TCP reset, so that the peer gets an error at once.
func reset(c *net.TCPConn) {
	c.SetLinger(0) //nolint:errcheck // it may be closed
	c.Close()
}
