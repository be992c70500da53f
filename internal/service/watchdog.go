package service

import (
	"sync/atomic"
	"time"

	"rollcall/internal/stream"
)

// pulse tells whether the fold is alive. A batch takes it milliseconds, and it
// waits for nothing outside the process: what takes much longer hangs, or waits
// for a lock that nobody gives back. With nothing to do, with NATS away for
// example, it is alive.
type pulse struct {
	began   atomic.Pointer[time.Time] // the batch under way; nil between two
	receipt atomic.Int64              // of the last message folded; 0: none yet
}

// of returns a fold whose pulse this is.
func (p *pulse) of(fold func(*stream.Batch)) func(*stream.Batch) {
	return func(batch *stream.Batch) {
		now := time.Now()
		p.began.Store(&now)
		fold(batch)
		p.began.Store(nil)
		p.receipt.Store(int64(batch.End.Proof.Receipt))
	}
}

// beats reports whether no batch has been under way for longer than so.
func (p *pulse) beats(within time.Duration) bool {
	began := p.began.Load()
	return began == nil || time.Since(*began) < within
}
