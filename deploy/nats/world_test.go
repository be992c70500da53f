package nats_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"rollcall/deploy/internal/program"
)

// TestMain also acts as the nats tool, as far as add-machine needs it, when the test
// binary is called "nats".
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "nats" {
		if err := natsTool(os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	program.Main(m)
}

// natsTool implements "nats auth nkey gen user --output FILE" and "nats auth nkey show
// FILE".
func natsTool(args []string) error {
	switch strings.Join(args[:min(3, len(args))], " ") {
	case "auth nkey gen":
		key, err := nkeys.CreateUser()
		if err != nil {
			return err
		}
		seed, err := key.Seed()
		if err != nil {
			return err
		}
		return os.WriteFile(args[5], append(seed, '\n'), 0o644) // the mode of the real tool
	case "auth nkey show":
		seed, err := os.ReadFile(args[3])
		if err != nil {
			return err
		}
		key, err := nkeys.FromSeed(bytes.TrimSpace(seed))
		if err != nil {
			return err
		}
		public, err := key.PublicKey()
		if err != nil {
			return err
		}
		_, err = fmt.Println(public)
		return err
	}
	return fmt.Errorf("nats %v: unexpected command", args)
}

// world is a server that runs with copies of this folder's files.
type world struct {
	t      *testing.T
	dir    string
	url    string
	server *server.Server
	ca     *authority
}

// machines are the machines with a user.
var machines = []string{"web1", "web.example.com", "space%20ship"}

// newWorld creates keys and certificates, starts the server and creates the streams, as in
// the README.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := newFolder(t)
	w.start()
	w.makeStreams()
	return w
}

// newFolder is a folder with the server's configuration and certificates, and the keys,
// as in nkeys/README.md.
func newFolder(t *testing.T) *world {
	t.Helper()
	w := newServer(t)
	w.write("accounts.conf", read(t, "nkeys/accounts.conf"))
	w.write("add-machine", read(t, "nkeys/add-machine"))
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	w.write("bin/.keep", "")
	if err := os.Symlink(self, w.path("bin/nats")); err != nil {
		t.Fatal(err)
	}
	w.addMachine(machines...)
	users := ""
	for _, user := range []string{"service", "admin", "reader", "page"} {
		w.tool(w.path("bin/nats"), "auth", "nkey", "gen", "user", "--output", w.path("keys/"+user+".nk"))
		key := w.tool(w.path("bin/nats"), "auth", "nkey", "show", w.path("keys/"+user+".nk"))
		users += strings.ToUpper(user) + ": " + key
	}
	w.write("users.conf", users)
	return w
}

// newServer copies the server's configuration, of which only the address and the paths are
// changed, and creates its certificates.
func newServer(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, dir: t.TempDir(), ca: newAuthority(t)}
	port := freePort(t)
	w.url = fmt.Sprintf("tls://127.0.0.1:%d", port)
	w.write("nats-server.conf", w.replaced(read(t, "nats-server.conf"),
		"listen: 127.0.0.1:4222", fmt.Sprintf("listen: 127.0.0.1:%d", port),
		"/etc/nats/tls/server.pem", w.path("tls/server.pem"),
		"/etc/nats/tls/server-key.pem", w.path("tls/server-key.pem"),
		`store_dir: "/var/lib/nats"`, fmt.Sprintf("store_dir: %q", w.path("store")),
	))
	w.write("ca.pem", w.ca.pem)
	w.certify(w.ca)
	return w
}

// addMachine runs add-machine.
func (w *world) addMachine(names ...string) {
	w.t.Helper()
	w.tool("sh", append([]string{w.path("add-machine")}, names...)...)
}

func (w *world) tool(name string, args ...string) string {
	w.t.Helper()
	cmd := exec.Command(name, args...)
	cmd.Env = append(os.Environ(), "PATH="+w.path("bin")+":"+os.Getenv("PATH"))
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// start starts the server.
func (w *world) start() {
	w.t.Helper()
	w.server = start(w.t, w.path("nats-server.conf"))
}

// start starts a server with a configuration file.
func start(t *testing.T, file string) *server.Server {
	t.Helper()
	options, err := server.ProcessConfigFile(file)
	if err != nil {
		t.Fatal(err)
	}
	options.NoSigs = true
	ns, err := server.NewServer(options)
	if err != nil {
		t.Fatal(err)
	}
	ns.Start()
	t.Cleanup(func() {
		ns.Shutdown()
		ns.WaitForShutdown()
	})
	if !ns.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server is not ready after 10s")
	}
	return ns
}

// reload reloads the configuration, like nats-server --signal reload.
func (w *world) reload() {
	w.t.Helper()
	if err := w.server.Reload(); err != nil {
		w.t.Fatal(err)
	}
}

// makeStreams creates the streams as the admin, as in the README.
func (w *world) makeStreams() {
	w.t.Helper()
	if out, err := command(w.t, append(w.user("admin"), streamsMaxBytes), "streams"); err != nil || !strings.HasSuffix(out, ready) {
		w.t.Fatalf("streams: %v: %s", err, out)
	}
}

// The README's variable for the streams, and what rollcall streams then prints.
const (
	streamsMaxBytes = "ROLLCALL_STREAM_MAX_BYTES=10GiB"
	ready           = "ready: ROLLCALL_EVENTS, ROLLCALL_REPORTS, ROLLCALL_DEADLETTERS\n"
)

// user returns the variables with which rollcall logs in as service, admin, reader, or a
// machine.
func (w *world) user(name string) []string {
	seed, inbox := w.path("keys/"+name+".nk"), "_INBOX_"+name
	if name == "service" {
		inbox = "_INBOX_rollcall"
	}
	if _, err := os.Stat(seed); err != nil {
		seed = w.path("keys/" + name + ".machine")
		inbox = "_INBOX_" + strings.TrimSpace(read(w.t, w.path("keys/"+name+".key")))
	}
	return []string{"NATS_URL=" + w.url, "NATS_CA=" + w.path("ca.pem"), "NATS_NKEY=" + seed, "NATS_INBOX_PREFIX=" + inbox}
}

// connect connects as a user.
func (w *world) connect(name string, more ...nats.Option) *conn {
	w.t.Helper()
	user := w.user(name)
	value := func(i int) string { return strings.SplitN(user[i], "=", 2)[1] }
	login, err := nats.NkeyOptionFromSeed(value(2))
	if err != nil {
		w.t.Fatal(err)
	}
	return dial(w.t, w.url, append([]nats.Option{nats.RootCAs(value(1)), login, nats.CustomInboxPrefix(value(3))}, more...)...)
}

// conn is a connection that records what the server denies.
type conn struct {
	*nats.Conn
	t      *testing.T
	denied chan error
}

func dial(t *testing.T, url string, options ...nats.Option) *conn {
	t.Helper()
	c := &conn{t: t, denied: make(chan error, 100)}
	nc, err := nats.Connect(url, append(options, nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { c.denied <- err }))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	c.Conn = nc
	return c
}

// wantDenied checks that the server denied the last operation.
func (c *conn) wantDenied(what string) {
	c.t.Helper()
	if err := c.Flush(); err != nil {
		c.t.Fatal(err)
	}
	select {
	case err := <-c.denied:
		if !strings.Contains(err.Error(), "Permissions Violation") {
			c.t.Errorf("%s: %v", what, err)
		}
	case <-time.After(5 * time.Second):
		c.t.Errorf("%s is allowed", what)
	}
}

// wantAllowed checks that the server has denied nothing so far.
func (c *conn) wantAllowed(what string) {
	c.t.Helper()
	if err := c.Flush(); err != nil {
		c.t.Fatal(err)
	}
	select {
	case err := <-c.denied:
		c.t.Errorf("%s: %v", what, err)
	default:
	}
}

func jetStream(t *testing.T, c *conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(c.Conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// rollcall runs a command as a user and returns its output.
func (w *world) rollcall(name string, args ...string) (string, error) {
	w.t.Helper()
	return command(w.t, w.user(name), args...)
}

func command(t *testing.T, variables []string, args ...string) (string, error) {
	t.Helper()
	p := program.Start(t, variables, program.Rollcall(t), args...)
	err := p.Wait()
	return p.Log(), err
}

// publish publishes an event as a user, with the real command.
func (w *world) publish(as string, args ...string) {
	w.t.Helper()
	if out, err := w.rollcall(as, append([]string{"publish"}, args...)...); err != nil || out != "1 stored\n" {
		w.t.Fatalf("publishing as %s: %v: %s", as, err, out)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, text string) { write(w.t, w.path(name), text) }

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// replaced replaces texts that must occur once each.
func (w *world) replaced(text string, pairs ...string) string {
	w.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		if strings.Count(text, pairs[i]) != 1 {
			w.t.Fatalf("%q occurs %d times, want 1, in:\n%s", pairs[i], strings.Count(text, pairs[i]), text)
		}
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
