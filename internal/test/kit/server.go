// Package kit is what the tests of several packages share: a real NATS
// server in the process, connections to it, a logger that writes to the test,
// a log that a test reads, and waiting for something with a deadline.
package kit

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server is a NATS server in this process, on a port of its own of 127.0.0.1.
// Its store is a temporary folder of the test and is not fsynced. The test
// ends it. Its methods are for the goroutine of the test.
type Server struct {
	// URL is where clients connect, without user and password. It stays the
	// same when the server starts again.
	URL string
	// Dir is the folder of the store. While the server is stopped it may be
	// copied and replaced.
	Dir string

	t       testing.TB
	options server.Options
	running *server.Server
}

// StartServer starts a server with JetStream and without passwords; the options may
// change that.
func StartServer(t testing.TB, options ...func(*server.Options)) *Server {
	t.Helper()
	s := &Server{t: t, Dir: filepath.Join(t.TempDir(), "nats")}
	s.options = server.Options{
		Host:                   "127.0.0.1",
		Port:                   server.RANDOM_PORT,
		JetStream:              true,
		StoreDir:               s.Dir,
		NoLog:                  true,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
	for _, change := range options {
		change(&s.options)
	}
	t.Cleanup(s.Stop)
	s.Start()
	return s
}

// WithPassword lets only this user in.
func WithPassword(user, password string) func(*server.Options) {
	return func(o *server.Options) { o.Username, o.Password = user, password }
}

// WithoutJetStream leaves JetStream off.
func WithoutJetStream(o *server.Options) { o.JetStream = false }

// Start starts the server again after Stop, with its port, its store and the
// options of StartServer. New options change these for good.
func (s *Server) Start(options ...func(*server.Options)) {
	s.t.Helper()
	for _, change := range options {
		change(&s.options)
	}
	if s.URL != "" {
		s.awaitPort()
	}
	with := s.options
	ns, err := server.NewServer(&with)
	if err != nil {
		s.t.Fatalf("making a NATS server: %v", err)
	}
	ns.Start()
	s.running = ns
	if !ns.ReadyForConnections(deadline) {
		s.t.Fatalf("starting a NATS server on %s:%d: not ready", s.options.Host, s.options.Port)
	}
	if ns.JetStreamEnabled() != s.options.JetStream {
		s.t.Fatalf("starting a NATS server in %s: no JetStream", s.Dir)
	}
	s.options.Port = ns.Addr().(*net.TCPAddr).Port
	s.URL = ns.ClientURL()
}

// Stop stops the server as a signal would, and returns when it has ended. A
// server that is stopped already stays so.
func (s *Server) Stop() {
	if s.running == nil {
		return
	}
	s.running.Shutdown()
	s.running.WaitForShutdown()
	s.running = nil
}

// Restart is Stop and Start.
func (s *Server) Restart() {
	s.t.Helper()
	s.Stop()
	s.Start()
}

// NATS returns the server itself while it runs, for anything else that a test
// needs.
func (s *Server) NATS() *server.Server { return s.running }

// awaitPort waits until nobody listens on the server's port any more: a server
// doesn't report that its port was taken.
func (s *Server) awaitPort() {
	s.t.Helper()
	Eventually(s.t, func() bool {
		l, err := net.ListenTCP("tcp", &net.TCPAddr{IP: net.ParseIP(s.options.Host), Port: s.options.Port})
		if err != nil {
			return false
		}
		return l.Close() == nil
	}, "the server's port is free again")
}

// deadline is how long anything in a test may take: far more than it needs, as
// machines that run tests are slow.
const deadline = 60 * time.Second
