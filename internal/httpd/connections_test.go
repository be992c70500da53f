package httpd

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// TestIdleConnections: however many connections are idle, with or without an
// earlier request, no more than the limit stay open, and a new client is answered.
func TestIdleConnections(t *testing.T) {
	s := startServer(t, http.HandlerFunc(livez))
	var open []net.Conn
	for i := range 3 * maxConnections {
		conn := dialServer(t, s)
		if i%2 == 0 { // kept alive by its client
			get(t, conn)
		}
		open = append(open, conn)
	}
	get(t, dialServer(t, s))
	closed := 0
	kit.Eventually(t, func() bool {
		closed = 0
		for _, conn := range open {
			if isClosed(conn) {
				closed++
			}
		}
		return len(open)-closed <= maxConnections
	}, "at most the limit stay open")
	if still := len(open) - closed; still < maxConnections-2 {
		t.Errorf("%d of %d are still open", still, len(open))
	}
}

// TestBusyConnections: a connection with a request in flight is not closed for a
// new one. When all are busy, new ones beyond the limit are closed.
func TestBusyConnections(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	s := startServer(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		entered <- struct{}{}
		<-release
	}))
	var busy []net.Conn
	for range maxConnections {
		conn := dialServer(t, s)
		write(t, conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		<-entered
		busy = append(busy, conn)
	}
	for range 20 {
		conn := dialServer(t, s)
		kit.Eventually(t, func() bool { return isClosed(conn) }, "one too many is closed")
	}
	close(release)
	for _, conn := range busy {
		readAnswer(t, conn)
	}
}

// startServer serves until the test ends.
func startServer(t *testing.T, handler http.Handler) *Server {
	t.Helper()
	listener, err := listen("127.0.0.1:0", "", "")
	if err != nil {
		t.Fatal(err)
	}
	s := newServer(listener, maxConnections, handler, Timeouts{}.withDefaults(), kit.Logger(t))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- s.Serve(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serving: %v", err)
		}
	})
	return s
}

func dialServer(t *testing.T, s *Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// get makes a request on a connection and leaves it open.
func get(t *testing.T, conn net.Conn) {
	t.Helper()
	write(t, conn, "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
	readAnswer(t, conn)
}

func write(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
}

func readAnswer(t *testing.T, conn net.Conn) {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadAll(answer.Body); err != nil || answer.StatusCode != http.StatusOK {
		t.Errorf("%s, %v", answer.Status, err)
	}
}

// isClosed reports whether the other side has closed a connection.
func isClosed(conn net.Conn) bool {
	if err := conn.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		return true
	}
	_, err := conn.Read(make([]byte, 1))
	timeout, ok := err.(net.Error)
	return err != nil && (!ok || !timeout.Timeout())
}
