package service

import (
	"strings"
	"sync/atomic"
)

// startWait is what the start of the service waits for, for the health checks and systemd.
// The zero value means nothing.
type startWait struct{ reason atomic.Pointer[string] }

// set sets why the start waits. It is safe for use by several goroutines.
func (w *startWait) set(err error) {
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	w.reason.Store(&line)
}

// clear removes the reason.
func (w *startWait) clear() { w.reason.Store(nil) }

// describe returns what the start waits for, or else what it is doing.
func (w *startWait) describe(doing string) string {
	if reason := w.reason.Load(); reason != nil {
		return "waiting: " + *reason
	}
	return doing
}
