package service

import (
	"sync/atomic"
	"time"

	"rollcall/internal/stream"
)

// watchdog detects a fold that hangs. Folding a batch takes milliseconds and waits
// for nothing outside the process, so a batch that takes much longer hangs, or waits for a
// lock that is never released. A fold without work, for example while NATS is down, is
// alive.
type watchdog struct {
	began   atomic.Pointer[time.Time] // when the batch in flight began; nil: none is
	receipt atomic.Int64              // of the last message folded; 0: none yet
}

// watch wraps the fold to record its progress.
func (w *watchdog) watch(fold func(*stream.Batch)) func(*stream.Batch) {
	return func(batch *stream.Batch) {
		now := time.Now()
		w.began.Store(&now)
		fold(batch)
		w.began.Store(nil)
		w.receipt.Store(int64(batch.End.Proof.Receipt))
	}
}

// alive reports whether no batch has been in flight for longer than limit.
func (w *watchdog) alive(limit time.Duration) bool {
	began := w.began.Load()
	return began == nil || time.Since(*began) < limit
}
