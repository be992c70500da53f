package natsserver

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/internal/throttle"
)

// serverLog forwards the embedded server's log. An embedded server only logs a fatal
// error instead of exiting, so the first one during the start is kept for the caller.
type serverLog struct {
	log *slog.Logger

	mu      sync.Mutex
	started bool
	first   error
}

func newServerLog(log *slog.Logger) *serverLog {
	return &serverLog{log: log}
}

// startDone marks the end of the start and returns its first fatal error, if any.
func (l *serverLog) startDone() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.started = true
	return l.first
}

func (l *serverLog) Fatalf(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.started:
		l.write(slog.LevelError, format, args)
	case l.first == nil:
		l.first = fmt.Errorf(format, args...)
	}
}

func (l *serverLog) Errorf(format string, args ...any) { l.write(slog.LevelError, format, args) }
func (l *serverLog) Warnf(format string, args ...any)  { l.write(slog.LevelWarn, format, args) }

func (l *serverLog) Noticef(format string, args ...any) {
	l.log.Debug("embedded nats server", "text", fmt.Sprintf(format, args...))
}

// Debugf and Tracef are never called: SetLogger turns both levels off.
func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) write(level slog.Level, format string, args []any) {
	l.log.Log(throttle.WithKind(context.Background(), format), level, "embedded nats server", "text", fmt.Sprintf(format, args...))
}

var _ server.Logger = (*serverLog)(nil)
