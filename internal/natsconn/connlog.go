package natsconn

import (
	"context"
	"log/slog"

	"rollcall/internal/throttle"
)

// connLog logs events that may occur thousands of times a second. Each message has a
// kind; a throttled log drops messages of a kind that repeats too often.
type connLog struct {
	to   *slog.Logger
	user func() string // of a watched connection: as whom it logs in; "": unknown
}

func newConnLog(log *slog.Logger) *connLog { return &connLog{to: log} }

// log logs a message of the given kind.
func (c *connLog) log(level slog.Level, kind, message string, args ...any) {
	//nolint:sloglint // a wrapper: its callers' messages are constant
	c.to.Log(throttle.WithKind(context.Background(), kind), level, message, args...)
}
