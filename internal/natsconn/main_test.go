package natsconn

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"rollcall/internal/test/kit"
	"rollcall/internal/throttle"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction(kit.SourceSetup))
}

// logger returns a logger from level info up, throttled like the service's, and its
// output.
func logger() (*slog.Logger, *kit.Output) {
	r := new(kit.Output)
	return slog.New(throttle.New(slog.NewTextHandler(r, nil))), r
}

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

// wantError fails unless the error contains all of the texts, and matches
// ErrConfiguration if and only if configuration is true.
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
