package program_test

import (
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
)

func TestMain(m *testing.M) { program.Main(m) }

func TestServe(t *testing.T) {
	s := program.Serve(t)
	if got := s.Get("/metrics"); !strings.Contains(got, "\nrollcall_position 0\n") {
		t.Error(got)
	}
	if !strings.HasPrefix(s.NATS, "nats://127.0.0.1:") {
		t.Errorf("NATS is at %q", s.NATS)
	}
}
