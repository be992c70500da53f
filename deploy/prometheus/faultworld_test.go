package prometheus_test

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/deploy/internal/program"
	"rollcall/deploy/prometheus/prometheustest"
)

// faultWorld is a NATS server, a service and a Prometheus, each a process.
type faultWorld struct {
	t       *testing.T
	fault   *fault
	store   string // folder of the server; a small file system if fault.tmpfs
	data    string // data folder of the service
	port    int
	holder  *program.Process // keeps that file system mounted
	nats    *program.Process
	service *program.Service
	server  *prometheustest.Server
	js      jetstream.JetStream
}

func newFaultWorld(t *testing.T, f *fault) *faultWorld {
	t.Helper()
	w := &faultWorld{t: t, fault: f, store: t.TempDir(), data: t.TempDir(), port: freePort(t)}
	if f.tmpfs {
		mountable(t)
		w.mount()
	}
	variables := []string{fmt.Sprintf("ROLLCALL_HTTP_ADDR=127.0.0.1:%d", freePort(t))}
	if !*measure {
		variables = append(variables, "ROLLCALL_REPORT_INTERVAL=1s", "ROLLCALL_SNAPSHOT_INTERVAL=1s")
	}
	if f.embedded {
		w.service = program.ServeAs(t, w.mounted(), append(variables,
			"ROLLCALL_DATA_DIR="+w.store, fmt.Sprintf("ROLLCALL_EMBEDDED_ADDR=127.0.0.1:%d", w.port))...)
	} else {
		w.startNATS()
		w.service = program.Serve(t, append(variables, "NATS_URL="+w.url(), "ROLLCALL_DATA_DIR="+w.data)...)
	}
	nc, err := nats.Connect(w.url(), nats.MaxReconnects(-1), nats.ReconnectWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if w.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	w.publish("--login", "lane", "--machine", "web1")
	changes := shortAlerts
	if *measure {
		changes = strings.NewReplacer()
	}
	w.server = prometheustest.StartAs(t, w.service.URL, changes)
	w.settle()
	return w
}

// settle waits until the service has saved a snapshot and no alert fires.
func (w *faultWorld) settle() {
	w.t.Helper()
	program.Eventually(w.t, "there is a snapshot", func() bool {
		return strings.Contains(w.service.Get("/readyz?verbose"), "snapshot: place 1")
	})
	program.Eventually(w.t, "no alert fires", func() bool {
		return len(w.server.Query(`ALERTS{alertstate="firing",severity!="info"}`)) == 0
	})
}

func (w *faultWorld) url() string { return fmt.Sprintf("nats://127.0.0.1:%d", w.port) }

// mount mounts a file system of 24 MB at the store, in the mount namespace of a process
// that keeps it.
func (w *faultWorld) mount() {
	w.t.Helper()
	w.holder = program.Start(w.t, nil, "unshare", "-Urm", "sh", "-c",
		`mount -t tmpfs -o size=24m tmpfs "$0" && echo mounted && exec sleep infinity`, w.store)
	w.holder.AwaitLog("mounted")
}

// mounted returns the prefix of a command that runs with that file system.
func (w *faultWorld) mounted() []string {
	return []string{"nsenter", "-t", strconv.Itoa(w.holder.PID()), "-U", "-m", "--preserve-credentials"}
}

// startNATS starts the server with its store.
func (w *faultWorld) startNATS() {
	w.t.Helper()
	conf := filepath.Join(w.t.TempDir(), "nats.conf")
	text := fmt.Sprintf("listen: 127.0.0.1:%d\njetstream { store_dir: %q, max_file_store: 1G, sync_interval: always }\n", w.port, w.store)
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
	command := []string{program.Build(w.t, "github.com/nats-io/nats-server/v2"), "-c", conf}
	if w.fault.tmpfs {
		command = append(w.mounted(), command...)
	}
	w.nats = program.Start(w.t, nil, command[0], command[1:]...)
	w.nats.AwaitLog("Server is ready")
}

// filling returns the path of the file that fills the file system.
func (w *faultWorld) filling() string {
	return fmt.Sprintf("/proc/%d/root%s/filling", w.holder.PID(), w.store)
}

// fill fills the file system of the store.
func (w *faultWorld) fill() {
	w.t.Helper()
	f, err := os.Create(w.filling())
	if err != nil {
		w.t.Fatal(err)
	}
	defer f.Close()
	for _, block := range [][]byte{make([]byte, 64<<10), make([]byte, 1)} {
		for err = nil; err == nil; {
			_, err = f.Write(block)
		}
	}
	if !errors.Is(err, syscall.ENOSPC) {
		w.t.Fatal(err)
	}
}

func (w *faultWorld) free() {
	w.t.Helper()
	w.must(os.Remove(w.filling()))
}

// edit changes a stream as an administrator would.
func (w *faultWorld) edit(name string, change func(*jetstream.StreamConfig)) {
	w.t.Helper()
	stream, err := w.js.Stream(w.t.Context(), name)
	if err != nil {
		w.t.Fatal(err)
	}
	config := stream.CachedInfo().Config
	change(&config)
	_, err = w.js.UpdateStream(w.t.Context(), config)
	w.must(err)
}

func (w *faultWorld) delete(name string) {
	w.t.Helper()
	w.must(w.js.DeleteStream(w.t.Context(), name))
}

// replace deletes a stream and creates another one with one of its subjects, so that it
// cannot be recreated.
func (w *faultWorld) replace(name, subject string) {
	w.t.Helper()
	w.delete(name)
	_, err := w.js.CreateStream(w.t.Context(), jetstream.StreamConfig{Name: "OTHER", Subjects: []string{subject}})
	w.must(err)
}

// freePort returns an unused port of 127.0.0.1.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

// removeAll removes a folder, retrying, as the service may write to it at that moment.
func (w *faultWorld) removeAll(dir string) {
	w.t.Helper()
	var err error
	for range 100 {
		if err = os.RemoveAll(dir); err == nil {
			return
		}
	}
	w.must(err)
}
