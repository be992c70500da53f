package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"rollcall/internal/ingest"
	"rollcall/internal/metrics"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// programs is the folder of the programs that the benchmarks run.
var programs string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	programs = cmp.Or(kit.BenchDir(), dir)
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		os.RemoveAll(dir)
		os.Exit(code)
	}))
}

var subjects = func() rollcallv1.Subjects {
	s, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		panic(err)
	}
	return s
}()

// storeDir returns the folder of the server's store with this name, which is kept
// between benchmarks if BENCH_DIR is set.
func storeDir(b *testing.B, name string) string {
	if dir := kit.BenchDir(); dir != "" {
		return filepath.Join(dir, name)
	}
	return filepath.Join(b.TempDir(), name)
}

// program builds a program and returns its path.
func program(b *testing.B, name, pkg string) string {
	b.Helper()
	path := filepath.Join(programs, name)
	if out, err := exec.Command("go", "build", "-o", path, pkg).CombinedOutput(); err != nil {
		b.Fatalf("building %s: %v\n%s", name, err, out)
	}
	return path
}

// startServer starts a nats-server in its own process, so that its memory does not
// affect the reader's garbage collector, and returns its URL. Its store is kept
// under the given name.
func startServer(b *testing.B, store string) string {
	b.Helper()
	path := program(b, "nats-server", "github.com/nats-io/nats-server/v2")
	address := kit.FreeAddress(b)
	host, port, _ := net.SplitHostPort(address)
	startProcess(b, exec.Command(path, "-a", host, "-p", port, "-js", "-sd", storeDir(b, store)))
	kit.Eventually(b, func() bool {
		conn, err := net.Dial("tcp", address)
		return err == nil && conn.Close() == nil
	}, "nats-server listens")
	return "nats://" + address
}

// startProcess starts a process and stops it when the benchmark ends.
func startProcess(b *testing.B, cmd *exec.Cmd) (stop func()) {
	b.Helper()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // it may have ended
		cmd.Wait()                          //nolint:errcheck // by the signal
	})
	b.Cleanup(stop)
	return stop
}

// history describes a stream of a fleet's events.
type history struct {
	name   string // of the store
	encode func([]byte, *roster.Event) []byte
	pairs  int
	events int
}

// store fills the stream on a server, unless an earlier benchmark has filled it.
func (h *history) store(b *testing.B, url string) {
	b.Helper()
	nc := kit.Conn(b, url)
	defer nc.Close()
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(10_000))
	if err != nil {
		b.Fatal(err)
	}
	made, err := js.CreateOrUpdateStream(b.Context(), jetstream.StreamConfig{
		Name: rollcallv1.DefaultEventsStream, Subjects: subjects.AllEvents(), AllowDirect: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	if made.CachedInfo().State.Msgs == uint64(h.events) {
		return
	}
	if err := made.Purge(b.Context()); err != nil {
		b.Fatal(err)
	}
	f := kit.NewFleet(1, kit.Mixed, h.pairs)
	var m roster.Message
	for range h.events {
		f.Next(&m)
		if _, err := js.PublishAsync(subjects.EventsOf(m.Event.Machine), h.encode(nil, &m.Event), jetstream.WithStallWait(time.Minute)); err != nil {
			b.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	info, err := made.Info(b.Context())
	if err != nil || info.State.Msgs != uint64(h.events) {
		b.Fatalf("stored %d of %d events: %v", info.State.Msgs, h.events, err)
	}
}

// pipeline reads the stream into a roster, wired as in "rollcall serve".
type pipeline struct {
	roster *roster.Roster
	reg    *metrics.Registry
	reader *stream.Reader
	ingest *ingest.Ingest
}

func newPipeline(b *testing.B, url string) *pipeline {
	b.Helper()
	s := &pipeline{roster: roster.New(roster.DefaultSettings()), reg: metrics.NewRegistry()}
	var err error
	s.reader, err = stream.New(stream.Config{
		Conn: kit.Conn(b, url), Stream: rollcallv1.DefaultEventsStream, Log: quiet, Registry: s.reg,
		Earlier: func() []roster.Position { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	letters, err := ingest.NewDeadLetters(kit.Conn(b, url), subjects, rollcallv1.DefaultEventsStream, quiet, s.reg)
	if err != nil {
		b.Fatal(err)
	}
	s.ingest = ingest.New(s.roster, subjects, letters, s.reader.CaughtUp, s.reg)
	return s
}

var quiet = slog.New(slog.DiscardHandler)

// read folds the stream until it has passed the place last. After each batch it
// calls passed, which may block, with the place reached.
func (s *pipeline) read(ctx context.Context, last uint64, passed func(place uint64)) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	err := s.reader.Run(ctx, s.roster.Status().Position, func(batch *stream.Batch) {
		s.ingest.Fold(batch)
		passed(batch.End.Place)
		if batch.End.Place >= last {
			stop()
		}
	})
	if st := s.roster.Status(); err == nil && ctx.Err() == nil || st.Fates[roster.DeadLettered]+st.Fates[roster.Lost] > 0 {
		return errors.Join(err, fmt.Errorf("the stream was not read completely: %v", st.Fates))
	}
	return err
}

// background runs a function in the background and returns a function that ends it.
func background(b *testing.B, do func(context.Context) error) (end func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := do(ctx); err != nil {
			b.Error(err)
		}
	}()
	end = func() { cancel(); <-done }
	b.Cleanup(end)
	return end
}
