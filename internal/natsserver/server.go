// Package natsserver is a NATS server with JetStream embedded in the process, for
// users without one of their own. Its errors are like those of package natsconn.
package natsserver

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"rollcall/internal/natsconn"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Options say where the embedded server listens and keeps its store.
type Options struct {
	// Addr is HOST:PORT. Port 0 is any free one.
	Addr string
	// Dir is the folder of the store, created if it is missing. Only one server at
	// a time may use it: two would corrupt each other's store without an error.
	Dir string
	// Subjects are those that programs without the key may use.
	Subjects rollcallv1.Subjects
	// Log gets the server's warnings and errors, and the rest as debug.
	Log *slog.Logger
}

// Server is a NATS server with JetStream inside this process. It acknowledges a
// message only after it has fsynced it.
type Server struct {
	server *server.Server
	url    string
	limit  int64
	store  store

	shutdown sync.Once
}

// readyTimeout bounds the start after the recovery of the streams, which may take
// any time.
const readyTimeout = 10 * time.Second

// dialTimeout bounds the check that our own server answers.
const dialTimeout = 5 * time.Second

// Start starts the server and returns once it accepts connections. If the address
// is in use, the error names the remedies.
func Start(o Options) (*Server, error) {
	host, port, err := splitAddr(o.Addr)
	if err != nil {
		return nil, err
	}
	if err := tryAddr(net.JoinHostPort(host, strconv.Itoa(max(port, 0)))); err != nil {
		return nil, err
	}
	if err := createStore(o.Dir); err != nil {
		return nil, err
	}
	s := new(Server)
	if err := s.start(o, host, port); err != nil {
		s.Shutdown()
		return nil, err
	}
	return s, nil
}

// start starts the server. NewServer and Start return no error if the port is taken
// or the store is broken: they only log it, as fatal.
func (s *Server) start(o Options, host string, port int) error {
	public, err := key(natsconn.KeyFile(o.Dir))
	if err != nil {
		return err
	}
	options := serverOptions(o, host, port)
	if err := setLogins(options, public, o.Subjects); err != nil {
		return fmt.Errorf("creating a key for the embedded NATS server: %w", err)
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("creating the embedded NATS server: %w", err)
	}
	s.server = ns
	if err := share(ns, o.Subjects); err != nil {
		return fmt.Errorf("sharing the subjects of the embedded NATS server: %w", err)
	}
	log := newServerLog(o.Log)
	ns.SetLogger(log, false, false)
	ns.Start()
	if err := log.startDone(); err != nil {
		return fmt.Errorf("starting the embedded NATS server on %s with its store in %s: %w", o.Addr, o.Dir, err)
	}
	// With accounts configured, the server does not enable JetStream for the global
	// account.
	if err := ns.GlobalAccount().EnableJetStream(nil, nil); err != nil {
		return fmt.Errorf("starting JetStream of the embedded NATS server with its store in %s: %w", o.Dir, err)
	}
	if !ns.ReadyForConnections(readyTimeout) {
		return fmt.Errorf("starting the embedded NATS server on %s: not ready after %v", o.Addr, readyTimeout)
	}
	s.limit = ns.JetStreamConfig().MaxStore
	s.store = statStore(o.Dir)
	s.url = clientURL(host, ns.Addr().(*net.TCPAddr).Port)
	if err := checkOurs(s.url, ns.ID()); err != nil {
		return err
	}
	warnIfReachable(o.Log, ns.Addr(), o.Addr)
	return nil
}

// serverOptions are the options of the server, without its logins.
func serverOptions(o Options, host string, port int) *server.Options {
	return &server.Options{
		ServerName: "rollcall",
		Host:       host,
		Port:       port,
		JetStream:  true,
		StoreDir:   o.Dir,
		//guard:drop "what is acknowledged is on the disk" TestEmbedded$
		SyncAlways:             true,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
}

// warnIfReachable warns of an address that other machines can reach.
func warnIfReachable(log *slog.Logger, listens net.Addr, addr string) {
	if ip := listens.(*net.TCPAddr).IP; !ip.IsLoopback() {
		log.Warn("embedded nats server accepts connections from other machines: without a login they may publish events and ask questions", "addr", addr)
	}
}

// URL is where clients on this machine connect.
func (s *Server) URL() string { return s.url }

// StoreLimit is how many bytes all streams together may store: three quarters of the
// disk space that was free when the server started (nats-server 2.15.2,
// diskAvailable). The server would add three quarters of what the streams already
// store (finalizeDynamicMaxStore), but it does so before start enables JetStream for
// the global account and recovers our streams, so it adds nothing.
func (s *Server) StoreLimit() int64 { return s.limit }

// Shutdown stops the server and waits for its end. It may be called more than once.
func (s *Server) Shutdown() {
	s.shutdown.Do(func() {
		if s.server != nil {
			s.server.Shutdown()
			s.server.WaitForShutdown()
		}
	})
}

// splitAddr parses HOST:PORT. Port 0 becomes -1: to the server, 0 means 4222 and -1
// means any free port.
func splitAddr(addr string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(digits)
	}
	if err != nil || port < -1 || port > 65535 {
		return "", 0, natsconn.Misconfigured("ROLLCALL_EMBEDDED_ADDR %q is not an address: want HOST:PORT, such as 127.0.0.1:4222", addr)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = server.DEFAULT_HOST
	}
	return host, port, nil
}

// tryAddr checks that the address is free by listening on it for a moment.
func tryAddr(addr string) error {
	l, err := net.Listen("tcp", addr)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return inUse(addr)
	case err != nil:
		return fmt.Errorf("listening for the embedded NATS server: %w: set ROLLCALL_EMBEDDED_ADDR to an address of this machine", err)
	}
	return l.Close()
}

func inUse(addr string) error {
	return fmt.Errorf("address %s is in use: set NATS_URL=nats://%s to use the NATS server there, or ROLLCALL_EMBEDDED_ADDR to another address for the embedded one", addr, addr)
}

// clientURL is the address as a client on this machine dials it.
func clientURL(host string, port int) string {
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip.To4() == nil {
			host = "::1"
		}
	}
	return "nats://" + net.JoinHostPort(host, strconv.Itoa(port))
}

// checkOurs checks that the server at the URL has this id, and is not another one
// that listened there first or listens on another of the host's addresses.
func checkOurs(url, id string) error {
	nc, err := nats.Connect(url, nats.Timeout(dialTimeout), nats.NoReconnect())
	if err != nil {
		return fmt.Errorf("connecting to the embedded NATS server at %s: %w", url, err)
	}
	defer nc.Close()
	//guard:false "no events come from another server" TestOtherServerAnswers
	if nc.ConnectedServerId() != id {
		return inUse(natsconn.Redact(url)[len("nats://"):])
	}
	return nil
}

// createStore creates the folder and checks that it is writable.
func createStore(dir string) error {
	err := os.MkdirAll(dir, 0o750)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(dir, "probe"); err == nil {
			probe.Close()
			err = os.Remove(probe.Name())
		}
	}
	if err != nil {
		return fmt.Errorf("writing to the folder of the embedded NATS server: %w: set ROLLCALL_DATA_DIR to a writable folder", err)
	}
	return nil
}
