package natsconn

import (
	"context"
	"log/slog"

	"rollcall/internal/throttle"
)

// complaints logs what may occur thousands of times a second. Each message has a
// kind; a throttled log drops messages of a kind that repeats too often.
type complaints struct{ log *slog.Logger }

func newComplaints(log *slog.Logger) *complaints { return &complaints{log} }

// say logs a message of the given kind.
func (c *complaints) say(level slog.Level, kind, message string, args ...any) {
	c.log.Log(throttle.WithKind(context.Background(), kind), level, message, args...)
}
