package faults

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"

	"rollcall/internal/test/kit"
)

// journal is a log that can be asked.
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

// find returns the lines with a message.
func (j *journal) find(message string) (found []map[string]any) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, line := range j.lines {
		if line[slog.MessageKey] == message {
			found = append(found, line)
		}
	}
	return found
}

// await waits until there are so many lines with a message and returns the
// last.
func (j *journal) await(message string, n int) map[string]any {
	j.t.Helper()
	kit.Eventually(j.t, func() bool { return len(j.find(message)) >= n }, fmt.Sprintf("the log says %d times %q", n, message))
	found := j.find(message)
	return found[len(found)-1]
}
