package kit

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestRestartKeepsPortAndStore(t *testing.T) {
	s := StartServer(t)
	nc := Conn(t, s.URL)
	js := JetStream(t, nc)
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), "s", []byte("kept")); err != nil {
		t.Fatal(err)
	}
	url, id := s.URL, s.NATS().ID()
	s.Restart()
	if s.URL != url || s.NATS().ID() == id {
		t.Fatalf("URL %s, ID %s: want the same URL and another ID", s.URL, s.NATS().ID())
	}
	Eventually(t, func() bool { return nc.ConnectedServerId() == s.NATS().ID() }, "the connection is back")
	stream, err := js.Stream(t.Context(), "S")
	if err != nil {
		t.Fatal(err)
	}
	msg, err := stream.GetMsg(t.Context(), 1)
	if err != nil || string(msg.Data) != "kept" {
		t.Fatalf("message 1: %v, %v", msg, err)
	}
}

func TestStopTwice(t *testing.T) {
	s := StartServer(t)
	s.Stop()
	s.Stop()
	if _, err := nats.Connect(s.URL); !errors.Is(err, nats.ErrNoServers) {
		t.Fatalf("connecting to a stopped server: %v", err)
	}
}

func TestOptions(t *testing.T) {
	s := StartServer(t, WithPassword("u", "secret"), WithoutJetStream)
	if _, err := nats.Connect(s.URL); !errors.Is(err, nats.ErrAuthorization) {
		t.Fatalf("connecting without password: %v", err)
	}
	nc := Conn(t, s.URL, nats.UserInfo("u", "secret"))
	if _, err := JetStream(t, nc).AccountInfo(t.Context()); !errors.Is(err, jetstream.ErrJetStreamNotEnabled) {
		t.Fatalf("asking for JetStream: %v", err)
	}
}

func TestConnKeepsClosedHandler(t *testing.T) {
	s := StartServer(t)
	var closed bool
	t.Run("connected", func(t *testing.T) {
		Conn(t, s.URL, nats.ClosedHandler(func(*nats.Conn) { closed = true }))
	})
	if !closed {
		t.Fatal("the test's closed handler wasn't called")
	}
}

func TestLoggerAfterTheTest(t *testing.T) {
	var log *slog.Logger
	t.Run("ends", func(t *testing.T) {
		log = Logger(t)
		log.Debug("while it runs")
	})
	log.Info("after it has ended") // t.Log would panic
}

func TestOutput(t *testing.T) {
	var out Output
	var writers sync.WaitGroup
	for range 4 {
		writers.Go(func() {
			for range 100 {
				fmt.Fprintln(&out, "a line")
				if !out.Has("line") {
					t.Error("the output lacks what was written")
				}
			}
		})
	}
	writers.Wait()
	if n := out.Count("a line\n"); n != 400 {
		t.Errorf("%d lines, want 400", n)
	}
	if got, whole := out.Drain(), len("a line\n")*400; len(got) != whole || out.String() != "" {
		t.Errorf("Drain returned %d bytes of %d and left %q", len(got), whole, out.String())
	}
}

func TestAwait(t *testing.T) {
	if await(func() bool { return false }, time.Millisecond) {
		t.Fatal("await returned true, but the condition was never true")
	}
	asked := 0
	if !await(func() bool { asked++; return asked == 3 }, deadline) {
		t.Fatal("await returned false, but the condition was true in the end")
	}
}
