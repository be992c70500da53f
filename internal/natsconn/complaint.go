package natsconn

import (
	"context"
	"log/slog"

	"rollcall/internal/throttle"
)

// complaints logs what may come thousands of times a second. Each has a kind, by
// which a log that is throttled leaves out what is said too often.
type complaints struct{ log *slog.Logger }

func newComplaints(log *slog.Logger) *complaints { return &complaints{log} }

// say logs a message of a kind.
func (c *complaints) say(level slog.Level, kind, message string, args ...any) {
	c.log.Log(throttle.Of(context.Background(), kind), level, message, args...)
}
