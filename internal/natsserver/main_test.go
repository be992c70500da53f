package natsserver

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"go.uber.org/goleak"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
	"rollcall/internal/throttle"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// logger returns a logger from level info up, throttled like the service's, and its
// output.
func logger() (*slog.Logger, *kit.Output) {
	r := new(kit.Output)
	return slog.New(throttle.New(slog.NewTextHandler(r, nil))), r
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// connected returns a connection as the service or another program makes it.
func connected(t *testing.T, o natsconn.Options) *nats.Conn {
	t.Helper()
	nc, err := natsconn.Connect(t.Context(), o, "rollcall test", kit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// ourStreams returns the streams as the service creates them.
func ourStreams(t *testing.T) natsconn.Streams {
	t.Helper()
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	return natsconn.Streams{
		Subjects:        subjects,
		Events:          rollcallv1.DefaultEventsStream,
		Reports:         rollcallv1.DefaultReportsStream,
		DeadLetters:     rollcallv1.DefaultDeadLettersStream,
		AllowedLateness: 720 * time.Hour,
		MaxAge:          2160 * time.Hour,
		MaxBytes:        64 << 20,
		Replicas:        1,
	}
}

func makeStream(t *testing.T, js jetstream.JetStream, c jetstream.StreamConfig) {
	t.Helper()
	if _, err := js.CreateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
}

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// wantError fails unless the error contains all of the texts, and matches
// ErrConfiguration if and only if configuration is true.
func wantError(t *testing.T, err error, configuration bool, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if errors.Is(err, natsconn.ErrConfiguration) != configuration {
		t.Errorf("error %q: matches ErrConfiguration: %v, want %v", err, !configuration, configuration)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q: doesn't say %q", err, text)
		}
	}
}
