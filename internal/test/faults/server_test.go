package faults

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

var servers = flag.Int("faults.servers", kit.Length(2, 5), "how often TestKillServer kills nats-server")

// TestKillServer: nats-server is killed at random moments while events are published
// with acks and rollcall reads. No acknowledged message is missing; rollcall keeps
// running, recognises the stream as the same, and ends with the roster of an undisturbed
// run.
func TestKillServer(t *testing.T) {
	t.Parallel()
	rng := random(t)
	server := newServer(t)
	server.start()
	dir := t.TempDir()
	p := serve(t, dir, server.url)
	p.awaitLog("ready", "place")
	a := publishAcked(t, rng, server.url)
	for range *servers {
		if rng.IntN(2) == 0 {
			kit.Eventually(t, func() bool {
				return strings.Contains(p.get("readyz?verbose"), "CONNECTED")
			}, "rollcall is connected again")
		}
		<-upTo(rng, 300*time.Millisecond)
		server.kill()
		server.start()
	}
	acks := a.stop()
	a.wantStored(acks)
	wantUndisturbed(t, p, server.url)
}

// server is a nats-server process that fsyncs every message. It keeps its store and its
// port across restarts.
type server struct {
	t       *testing.T
	url     string
	config  string // file
	process *process
}

// newServer configures a server and does not start it; more is appended to its
// configuration.
func newServer(t *testing.T, more ...string) *server { return newServerIn(t, "", more...) }

// newServerIn is newServer for a server in a JetStream domain.
func newServerIn(t *testing.T, domain string, more ...string) *server {
	t.Helper()
	if domain != "" {
		domain = ", domain: " + domain
	}
	dir, port := t.TempDir(), kit.FreePort(t)
	s := &server{t: t, url: fmt.Sprintf("nats://127.0.0.1:%d", port), config: filepath.Join(dir, "nats.conf")}
	config := fmt.Sprintf("listen: 127.0.0.1:%d\njetstream { store_dir: %q, sync_interval: always%s }\n%s\n",
		port, filepath.Join(dir, "store"), domain, strings.Join(more, "\n"))
	if err := os.WriteFile(s.config, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

// start starts the server, and returns when it accepts connections.
func (s *server) start() {
	s.t.Helper()
	s.process = start(s.t, natsServer(s.t), nil, "-c", s.config)
	address := strings.TrimPrefix(s.url, "nats://")
	kit.Eventually(s.t, func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	}, "nats-server listens")
}

func (s *server) kill() { s.process.end(syscall.SIGKILL) }

// acked publishes with acks to servers that are killed and restarted.
type acked struct {
	t    *testing.T
	js   jetstream.JetStream
	stop func() map[uint64]string // stops and returns the acknowledged messages: sequence → id
}

const publishers = 4

// publishAcked starts publishers. Each publishes one message after the other, as soon as
// the last one is acknowledged or has failed.
func publishAcked(t *testing.T, rng *rand.Rand, urls string) *acked {
	t.Helper()
	a := &acked{t: t, js: kit.JetStream(t, kit.Conn(t, urls, nats.Timeout(time.Second)))}
	ctx, cancel := context.WithCancel(t.Context())
	var mu sync.Mutex
	acks := make(map[uint64]string)
	var running sync.WaitGroup
	for i := range publishers {
		g := newTraffic(rng)
		running.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				id := fmt.Sprintf("%d-%d", i, n)
				if seq, err := a.publish(ctx, g.message(), id); err == nil {
					mu.Lock()
					acks[seq] = id
					mu.Unlock()
				}
				<-upTo(g.rng, 4*time.Millisecond)
			}
		})
	}
	a.stop = func() map[uint64]string { cancel(); running.Wait(); return acks }
	t.Cleanup(func() { a.stop() })
	return a
}

const headerID = "Id" // of a message, for publishAcked

// publish publishes a message and returns its sequence. The server may have
// stored it even when that fails.
func (a *acked) publish(ctx context.Context, msg *nats.Msg, id string) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	msg.Header.Set(headerID, id)
	ack, err := a.js.PublishMsg(ctx, msg, jetstream.WithRetryAttempts(0))
	if err != nil {
		return 0, err
	}
	return ack.Sequence, nil
}

// wantStored checks that each acknowledged message is in the stream, under the sequence
// in its ack.
func (a *acked) wantStored(acks map[uint64]string) {
	a.t.Helper()
	stored := make(map[uint64]string)
	for msg := range read(a.t, a.js, rollcallv1.DefaultEventsStream) {
		meta, err := msg.Metadata()
		if err != nil {
			a.t.Fatal(err)
		}
		stored[meta.Sequence.Stream] = msg.Headers().Get(headerID)
	}
	for seq, id := range acks {
		if stored[seq] != id {
			a.t.Errorf("message %s was acknowledged with sequence %d, which has message %q", id, seq, stored[seq])
		}
	}
	a.t.Logf("%d messages were acknowledged, %d are stored", len(acks), len(stored))
}

// signal sends a signal: SIGSTOP leaves the connections open.
func (s *server) signal(signal syscall.Signal) {
	s.t.Helper()
	if err := s.process.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}
