// Package kit is what the tests of several packages share: a real NATS server in
// the process, connections to it, loggers, waiting for a condition with a deadline,
// certificates, and a generator of events.
package kit

import (
	"net"
	"path/filepath"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Server is a NATS server in this process, on its own port of 127.0.0.1. Its store is
// a temporary folder, and is not fsynced. It is stopped when the test ends. Its methods
// may be called only from the goroutine of the test.
type Server struct {
	// URL is where clients connect, without user and password. It stays the
	// same after a restart.
	URL string
	// Dir is the folder of the store. It may be copied and replaced while the
	// server is stopped.
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

// WithPassword makes the server accept only this user.
func WithPassword(user, password string) func(*server.Options) {
	return func(o *server.Options) { o.Username, o.Password = user, password }
}

// WithoutJetStream disables JetStream.
func WithoutJetStream(o *server.Options) { o.JetStream = false }

// Start starts the server again after Stop, with the same port, store and options.
// New options also apply to later starts.
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
		s.t.Fatalf("creating a NATS server: %v", err)
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

// Stop shuts the server down and returns when it has ended. It does nothing if the
// server is stopped already.
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

// Reload changes options of the running server, as a changed configuration file and SIGHUP
// do. They also apply to later starts.
func (s *Server) Reload(change func(*server.Options)) {
	s.t.Helper()
	change(&s.options)
	with := s.options
	if err := s.running.ReloadOptions(&with); err != nil {
		s.t.Fatalf("reloading the options of a NATS server: %v", err)
	}
}

// NATS returns the running server itself.
func (s *Server) NATS() *server.Server { return s.running }

// awaitPort waits until the server's port is free again: a server does not report
// that its port is in use.
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

// deadline is how long any wait in a test may take: far more than necessary, as the
// machines that run tests may be slow.
const deadline = 60 * time.Second
