package faults

import (
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// proxy is a link to a server that can be made a bad one. What it does holds
// for all connections through it, those to come included, until heal.
type proxy struct {
	// URL is where clients connect.
	URL string

	server   string
	listener *net.TCPListener
	forwards sync.WaitGroup

	mu      sync.Mutex
	links   map[*link]bool
	refuse  bool
	silent  map[direction]bool
	rate    int // in bytes a second; 0 is no limit
	changed chan struct{}
	ended   bool
}

// link is one connection through a proxy.
type link struct{ client, server *net.TCPConn }

type direction int

const (
	toServer direction = iota
	toClient
)

// newProxy starts a proxy for a server; the test ends it.
func newProxy(t *testing.T, serverURL string) *proxy {
	t.Helper()
	l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{
		URL: "nats://" + l.Addr().String(), server: strings.TrimPrefix(serverURL, "nats://"), listener: l,
		links: map[*link]bool{}, changed: make(chan struct{}),
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
		p.open(&link{client, server.(*net.TCPConn)})
	}
}

func (p *proxy) open(l *link) {
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
func (p *proxy) forward(l *link, to, from *net.TCPConn, d direction) {
	for buf := make([]byte, 4<<10); ; {
		n, err := from.Read(buf)
		if err != nil || !p.pass(d, n) {
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

// pass waits until so many bytes may go on in a direction.
func (p *proxy) pass(d direction, n int) bool {
	for {
		p.mu.Lock()
		silent, rate, changed, ended := p.silent[d], p.rate, p.changed, p.ended
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

// set changes what the proxy does.
func (p *proxy) set(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
	close(p.changed)
	p.changed = make(chan struct{})
}

// cut resets all connections, and those to come.
func (p *proxy) cut() {
	p.set(func() {
		p.refuse = true
		for l := range p.links {
			reset(l.client)
			reset(l.server)
		}
		clear(p.links)
	})
}

// stall lets nothing through in these directions; nobody is told.
func (p *proxy) stall(directions ...direction) {
	p.set(func() {
		p.silent = map[direction]bool{}
		for _, d := range directions {
			p.silent[d] = true
		}
	})
}

// slow lets so many bytes a second through, each way.
func (p *proxy) slow(rate int) { p.set(func() { p.rate = rate }) }

// halfOpen ends the connections there are on the side of the server, and
// doesn't tell the clients. New ones work.
func (p *proxy) halfOpen() {
	p.set(func() {
		for l := range p.links {
			reset(l.server)
			p.links[l] = false
		}
	})
}

// inject says something to the clients in the name of the server.
func (p *proxy) inject(text string) {
	p.set(func() {
		for l := range p.links {
			l.client.Write([]byte(text)) //nolint:errcheck // it may be gone
		}
	})
}

// heal makes the link a good one.
func (p *proxy) heal() {
	p.set(func() { p.refuse, p.silent, p.rate = false, nil, 0 })
}

func (p *proxy) close() {
	p.listener.Close()
	p.set(func() {
		p.ended = true
		for l := range p.links {
			reset(l.client)
			reset(l.server)
		}
	})
	p.forwards.Wait()
}

// reset closes a connection so that the other end gets an error at once.
func reset(c *net.TCPConn) {
	c.SetLinger(0) //nolint:errcheck // it may be closed
	c.Close()
}
