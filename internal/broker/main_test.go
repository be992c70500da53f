package broker

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/throttle"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// record is a log that a test can read while others write to it.
type record struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (r *record) Write(line []byte) (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.Write(line)
}

func (r *record) String() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.text.String()
}

func (r *record) has(text string) bool { return strings.Contains(r.String(), text) }

// logger returns a logger from level info on, throttled as that of the service,
// and what it has written.
func logger() (*slog.Logger, *record) {
	r := new(record)
	return slog.New(throttle.New(slog.NewTextHandler(r, nil))), r
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// wantError fails unless the error says all of the texts and is a matter of
// configuration as told.
func wantError(t *testing.T, err error, configuration bool, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatal("no error")
	}
	if errors.Is(err, ErrConfiguration) != configuration {
		t.Errorf("error %q: matches ErrConfiguration: %v, want %v", err, !configuration, configuration)
	}
	for _, text := range texts {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("error %q: doesn't say %q", err, text)
		}
	}
}
