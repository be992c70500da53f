package natsserver

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// embedded starts a server for the test.
func embedded(t *testing.T, addr, dir string) *Server {
	t.Helper()
	e, err := Start(Options{Subjects: ourStreams(t).Subjects, Addr: addr, Dir: dir, Log: kit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Shutdown)
	return e
}

func TestEmbedded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "nats")
	log, r := logger()
	e, err := Start(Options{Subjects: ourStreams(t).Subjects, Addr: "127.0.0.1:0", Dir: dir, Log: log})
	if err != nil {
		t.Fatal(err)
	}
	if e.StoreLimit() <= 0 {
		t.Errorf("store limit %d", e.StoreLimit())
	}
	if !e.server.JetStreamConfig().SyncAlways {
		t.Error("messages are not fsynced")
	}
	js := kit.JetStream(t, connected(t, natsconn.Options{URL: e.URL(), NKey: natsconn.KeyFile(dir)}))
	if _, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", nil); err != nil {
		t.Fatal(err)
	}
	addr := strings.TrimPrefix(e.URL(), "nats://")
	e.Shutdown()
	e.Shutdown()
	if text := r.String(); text != "" {
		t.Errorf("a start and an end log something above debug:\n%s", text)
	}

	e = embedded(t, addr, dir)
	js = kit.JetStream(t, connected(t, natsconn.Options{URL: e.URL(), NKey: natsconn.KeyFile(dir)}))
	s, err := js.Stream(t.Context(), "S")
	if err != nil || s.CachedInfo().State.Msgs != 1 {
		t.Fatalf("after a restart: %v", err)
	}
}

func TestEmbeddedAddressInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	nats := kit.StartServer(t)
	for _, addr := range []string{l.Addr().String(), strings.TrimPrefix(nats.URL, "nats://")} {
		_, err := Start(Options{Subjects: ourStreams(t).Subjects, Addr: addr, Dir: t.TempDir(), Log: kit.Logger(t)})
		wantError(t, err, false, addr+" is in use", "NATS_URL=nats://"+addr, "ROLLCALL_EMBEDDED_ADDR")
	}
}

// The port may be taken between our check and the server's start, which only logs it.
func TestEmbeddedAddressRace(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	dir := t.TempDir()
	e := new(Server)
	addr := l.Addr().(*net.TCPAddr)
	err = e.start(Options{Subjects: ourStreams(t).Subjects, Addr: addr.String(), Dir: dir, Log: kit.Logger(t)}, "127.0.0.1", addr.Port)
	e.Shutdown()
	wantError(t, err, false, "starting the embedded NATS server", addr.String(), "address already in use")
}

// If the host is a name, a server other than ours may answer.
func TestOtherServerAnswers(t *testing.T) {
	other := kit.StartServer(t)
	e := embedded(t, "127.0.0.1:0", t.TempDir())
	wantError(t, checkOurs(other.URL, e.server.ID()), false, "is in use", "NATS_URL="+other.URL, "ROLLCALL_EMBEDDED_ADDR")
	if err := checkOurs(e.URL(), e.server.ID()); err != nil {
		t.Error(err)
	}
}

func TestEmbeddedBadAddress(t *testing.T) {
	for _, addr := range []string{"", "127.0.0.1", "4222", "127.0.0.1:nats", "127.0.0.1:65536", "127.0.0.1:-2"} {
		_, err := Start(Options{Subjects: ourStreams(t).Subjects, Addr: addr, Dir: t.TempDir(), Log: kit.Logger(t)})
		wantError(t, err, true, "ROLLCALL_EMBEDDED_ADDR", `"`+addr+`"`, "127.0.0.1:4222")
	}
	_, err := Start(Options{Subjects: ourStreams(t).Subjects, Addr: "192.0.2.1:4222", Dir: t.TempDir(), Log: kit.Logger(t)})
	wantError(t, err, false, "192.0.2.1:4222", "ROLLCALL_EMBEDDED_ADDR")
}

func TestEmbeddedFolder(t *testing.T) {
	file := write(t, "file", "")
	blocked := filepath.Join(t.TempDir(), "store")
	if err := os.MkdirAll(blocked, 0o750); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(blocked, "jetstream"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		dir  string
		says []string
	}{
		"below a file": {filepath.Join(file, "nats"), []string{file, "ROLLCALL_DATA_DIR"}},
		"is a file":    {file, []string{file, "ROLLCALL_DATA_DIR"}},
		"file in it":   {blocked, []string{blocked, "JetStream"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Start(Options{Subjects: ourStreams(t).Subjects, Addr: "127.0.0.1:0", Dir: c.dir, Log: kit.Logger(t)})
			wantError(t, err, false, c.says...)
		})
	}
}

func TestEmbeddedForOtherMachines(t *testing.T) {
	log, r := logger()
	e, err := Start(Options{Subjects: ourStreams(t).Subjects, Addr: ":0", Dir: t.TempDir(), Log: log})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Shutdown()
	if !strings.HasPrefix(e.URL(), "nats://127.0.0.1:") {
		t.Errorf("URL %s", e.URL())
	}
	if !r.Has("other machines") {
		t.Errorf("no warning:\n%s", r)
	}
}

func TestClientURL(t *testing.T) {
	for host, want := range map[string]string{
		"127.0.0.1": "nats://127.0.0.1:1", "0.0.0.0": "nats://127.0.0.1:1",
		"::": "nats://[::1]:1", "::1": "nats://[::1]:1", "localhost": "nats://localhost:1",
	} {
		if got := clientURL(host, 1); got != want {
			t.Errorf("clientURL(%q): %s, want %s", host, got, want)
		}
	}
}

func TestServerLog(t *testing.T) {
	log, r := logger()
	l := newServerLog(log)
	l.Noticef("listening on %d", 1)
	l.Debugf("x")
	l.Tracef("x")
	l.Fatalf("port %d", 2)
	l.Fatalf("port %d", 3)
	if err := l.startDone(); err == nil || err.Error() != "port 2" {
		t.Errorf("fatal error %v, want the first", err)
	}
	if r.String() != "" {
		t.Errorf("log says:\n%s", r)
	}
	l.Warnf("disk %d", 4)
	l.Errorf("disk %d", 5)
	l.Fatalf("disk %d", 6)
	for _, text := range []string{`level=WARN msg="embedded nats server" text="disk 4"`, `level=ERROR msg="embedded nats server" text="disk 5"`, "disk 6"} {
		if !r.Has(text) {
			t.Errorf("log doesn't say %q:\n%s", text, r)
		}
	}
}
