package broker

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	rollcallv1 "rollcall/proto/rollcall/v1"
)

// EmbeddedOptions say where the server inside the process listens and stores.
type EmbeddedOptions struct {
	// Addr is HOST:PORT. Port 0 is any free one.
	Addr string
	// Dir is the folder of the store, made if it is missing. One server at a
	// time may use it: two would break each other's store without a word.
	Dir string
	// Subjects are those that programs without the key may use.
	Subjects rollcallv1.Subjects
	// Log gets the server's warnings and errors, and the rest as debug.
	Log *slog.Logger
}

// Embedded is a NATS server with JetStream inside this process. A message that
// it acknowledges is on the disk.
type Embedded struct {
	server *server.Server
	url    string
	limit  int64
	store  store

	shutdown sync.Once
}

// readyWithin bounds what comes after the server has recovered its streams,
// which may take as long as it takes.
const readyWithin = 10 * time.Second

// StartEmbedded starts the server and returns when it takes connections. An
// address in use is an error that names the ways out.
func StartEmbedded(o EmbeddedOptions) (*Embedded, error) {
	host, port, err := splitAddr(o.Addr)
	if err != nil {
		return nil, err
	}
	if err := tryAddr(net.JoinHostPort(host, strconv.Itoa(max(port, 0)))); err != nil {
		return nil, err
	}
	if err := makeStore(o.Dir); err != nil {
		return nil, err
	}
	e := new(Embedded)
	if err := e.start(o, host, port); err != nil {
		e.Shutdown()
		return nil, err
	}
	return e, nil
}

// start starts the server. NewServer and Start return
// no error when the port is taken or the store broken: these reach the log
// only, as fatal.
func (e *Embedded) start(o EmbeddedOptions, host string, port int) error {
	public, err := key(KeyFile(o.Dir))
	if err != nil {
		return err
	}
	options := &server.Options{
		ServerName:             "rollcall",
		Host:                   host,
		Port:                   port,
		JetStream:              true,
		StoreDir:               o.Dir,
		SyncAlways:             true,
		NoSigs:                 true,
		DisableJetStreamBanner: true,
	}
	if err := logins(options, public, o.Subjects); err != nil {
		return fmt.Errorf("making a key of the embedded NATS server: %w", err)
	}
	ns, err := server.NewServer(options)
	if err != nil {
		return fmt.Errorf("making the embedded NATS server: %w", err)
	}
	e.server = ns
	if err := share(ns, o.Subjects); err != nil {
		return fmt.Errorf("sharing the subjects of the embedded NATS server: %w", err)
	}
	log := newServerLog(o.Log)
	ns.SetLogger(log, false, false)
	ns.Start()
	if err := log.start(); err != nil {
		return fmt.Errorf("starting the embedded NATS server on %s with its store in %s: %w", o.Addr, o.Dir, err)
	}
	// With accounts of our own the server leaves its first without JetStream.
	if err := ns.GlobalAccount().EnableJetStream(nil, nil); err != nil {
		return fmt.Errorf("starting JetStream of the embedded NATS server with its store in %s: %w", o.Dir, err)
	}
	if !ns.ReadyForConnections(readyWithin) {
		return fmt.Errorf("starting the embedded NATS server on %s: not ready after %v", o.Addr, readyWithin)
	}
	e.limit = ns.JetStreamConfig().MaxStore
	e.store = seeStore(o.Dir)
	e.url = clientURL(host, ns.Addr().(*net.TCPAddr).Port)
	if err := isOurs(e.url, ns.ID()); err != nil {
		return err
	}
	if ip := ns.Addr().(*net.TCPAddr).IP; !ip.IsLoopback() {
		o.Log.Warn("embedded nats server takes connections from other machines: without a login they publish events and ask", "addr", o.Addr)
	}
	return nil
}

// KeyFile is the file with the key of the embedded server that stores in a
// folder: the seed of a user that may do everything. Without it programs may
// publish events, ask, and hear reports and changes.
func KeyFile(dir string) string { return filepath.Join(dir, "admin.nk") }

// URL is where clients on this machine connect.
func (e *Embedded) URL() string { return e.url }

// StoreLimit is how many bytes all streams together may store: three quarters
// of what was free on the disk, and what is stored already.
func (e *Embedded) StoreLimit() int64 { return e.limit }

// Shutdown stops the server and returns when it has ended. It may be called
// more than once.
func (e *Embedded) Shutdown() {
	e.shutdown.Do(func() {
		if e.server != nil {
			e.server.Shutdown()
			e.server.WaitForShutdown()
		}
	})
}

// splitAddr reads HOST:PORT. To the server port 0 means 4222, and -1 any.
func splitAddr(addr string) (host string, port int, err error) {
	host, digits, err := net.SplitHostPort(addr)
	if err == nil {
		port, err = strconv.Atoi(digits)
	}
	if err != nil || port < -1 || port > 65535 {
		return "", 0, misconfigured("ROLLCALL_EMBEDDED_ADDR %q is not an address: want HOST:PORT, such as 127.0.0.1:4222", addr)
	}
	if port == 0 {
		port = server.RANDOM_PORT
	}
	if host == "" {
		host = server.DEFAULT_HOST
	}
	return host, port, nil
}

// tryAddr listens on the address for a moment.
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

// isOurs makes sure that whoever answers at the URL is the server with this
// id, and no other that got there first or listens on another of the host's
// addresses.
func isOurs(url, id string) error {
	nc, err := nats.Connect(url, nats.Timeout(dialTimeout), nats.NoReconnect())
	if err != nil {
		return fmt.Errorf("connecting to the embedded NATS server at %s: %w", url, err)
	}
	defer nc.Close()
	if nc.ConnectedServerId() != id {
		return inUse(Redact(url)[len("nats://"):])
	}
	return nil
}

// makeStore makes the folder, and makes sure that it can be written to.
func makeStore(dir string) error {
	err := os.MkdirAll(dir, 0o750)
	if err == nil {
		var probe *os.File
		if probe, err = os.CreateTemp(dir, "probe"); err == nil {
			probe.Close()
			err = os.Remove(probe.Name())
		}
	}
	if err != nil {
		return fmt.Errorf("writing to the folder of the embedded NATS server: %w: set ROLLCALL_DATA_DIR to a folder that can be written to", err)
	}
	return nil
}
