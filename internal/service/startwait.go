package service

import (
	"strings"
	"sync/atomic"
)

// startWait is what the start of the service waits for, for those who ask how it
// is. The zero value waits for nothing.
type startWait struct{ reason atomic.Pointer[string] }

// because says why the start waits. It is safe for use by several goroutines.
func (w *startWait) because(err error) {
	line := strings.ReplaceAll(err.Error(), "\n", "; ")
	w.reason.Store(&line)
}

// over says that the start goes on.
func (w *startWait) over() { w.reason.Store(nil) }

// while returns what the start does, or why that takes so long, if that is known.
func (w *startWait) while(doing string) string {
	if reason := w.reason.Load(); reason != nil {
		return "waiting: " + *reason
	}
	return doing
}
