package service

import (
	"strings"
	"sync/atomic"
)

// startWait is what the start of the service waits for, for health checks and systemd.
// The zero value waits for nothing.
type startWait struct{ reason atomic.Pointer[string] }

// because sets why the start waits. It is safe for use by several goroutines.
func (w *startWait) because(err error) {
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	w.reason.Store(&line)
}

// over ends the waiting.
func (w *startWait) over() { w.reason.Store(nil) }

// while returns what the start is doing, or what it waits for.
func (w *startWait) while(doing string) string {
	if reason := w.reason.Load(); reason != nil {
		return "waiting: " + *reason
	}
	return doing
}
