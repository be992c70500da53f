package faults

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"rollcall/internal/test/kit"
)

// journal is a log handler that records lines, so that tests can search them.
type journal struct {
	slog.Handler // of the test's log
	t            *testing.T

	mu    sync.Mutex
	lines []map[string]any
}

func newJournal(t *testing.T) *journal {
	return &journal{Handler: kit.Logger(t).Handler(), t: t}
}

func (j *journal) logger() *slog.Logger { return slog.New(j) }

// Handle implements [slog.Handler].
func (j *journal) Handle(ctx context.Context, r slog.Record) error {
	line := map[string]any{slog.MessageKey: r.Message}
	r.Attrs(func(a slog.Attr) bool {
		line[a.Key] = a.Value.Resolve().Any()
		return true
	})
	j.mu.Lock()
	j.lines = append(j.lines, line)
	j.mu.Unlock()
	return j.Handler.Handle(ctx, r)
}

// withMessage returns the lines with a message.
func (j *journal) withMessage(message string) (found []map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if line[slog.MessageKey] == message {
			found = append(found, line)
		}
	}
	return found
}

// await waits until there are n lines with a message and returns the last of them.
func (j *journal) await(message string, n int) map[string]any {
	j.t.Helper()
	kit.Eventually(j.t, func() bool { return len(j.withMessage(message)) >= n }, fmt.Sprintf("the log has %d lines %q", n, message))
	found := j.withMessage(message)
	return found[len(found)-1]
}
