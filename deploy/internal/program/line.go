package program

import (
	"io"
	"net"
	"sync"
	"testing"
)

// Line is a line to a server that can be cut, such as that of a site to the hub.
type Line struct {
	// Address is where the line begins: a host and a port.
	Address string

	to    string
	mu    sync.Mutex
	isCut bool
	conns []net.Conn
}

// NewLine makes a line to an address. It is cut when the test ends.
func NewLine(t testing.TB, to string) *Line {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &Line{Address: listener.Addr().String(), to: to}
	t.Cleanup(func() { listener.Close(); l.Cut() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			l.carry(conn)
		}
	}()
	return l
}

// carry carries a connection to the other end, unless the line is cut.
func (l *Line) carry(from net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	to, err := net.Dial("tcp", l.to)
	if l.isCut || err != nil {
		from.Close()
		if err == nil {
			to.Close()
		}
		return
	}
	l.conns = append(l.conns, from, to)
	for _, pair := range [][2]net.Conn{{from, to}, {to, from}} {
		go func() {
			_, _ = io.Copy(pair[0], pair[1])
			pair[0].Close()
		}()
	}
}

// Cut ends the connections, and every one that is made from now on.
func (l *Line) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = true
	for _, c := range l.conns {
		c.Close()
	}
	l.conns = nil
}

// Heal lets connections pass again.
func (l *Line) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.isCut = false
}
