package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/roster"
)

const (
	// verifyEvery is how often a position is verified while reading.
	verifyEvery = 4 * time.Second
	// stallAfter is how long the position may stay the same while the stream has
	// more: a consumer can stall forever after a leader change.
	stallAfter = 10 * time.Second
)

// watch verifies the position every few seconds. It ends the reading with a doubt
// when the stream is another, or when the next message has left the stream and
// nothing is delivered. It also keeps the lag up to date while nothing is delivered.
func (r *reading) watch(ctx context.Context, end context.CancelCauseFunc) {
	for sleep(ctx, verifyEvery) {
		at, wasWaiting := r.sharedState()
		act, err := r.verify(ctx, at, 0, state{})
		if err != nil || act.decision == read {
			continue
		}
		if now, waiting := r.sharedState(); act.decision == lose && !(wasWaiting && waiting && now == at) {
			continue // the messages may have been delivered before they left the stream
		}
		end(doubtf(causeIncarnation, "the stream no longer has the position: %s", act.decision))
		return
	}
}

// sharedState returns the position, and whether the reader waits for a delivery there.
func (r *reading) sharedState() (at roster.Position, waiting bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.sharedPosition, r.waiting
}

// setWaiting records whether the reader waits for a delivery.
func (r *reading) setWaiting(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = is
}

// checkProgress is the watchdog: it returns a doubt when the stream has more and the
// position has not moved for stallAfter. If a second consumer stalls, too, it also
// forces a reconnect.
func (r *reading) checkProgress() error {
	//guard:false "an idle stream does not trip the watchdog" TestIdle
	if r.Lag() == 0 {
		if !r.lastMoveLost { // a lag of 0 after a loss is no progress
			r.lastProgress = time.Now()
		}
		r.lastMoveLost = false
		return nil
	}
	idle := time.Since(r.lastProgress)
	//guard:true "a stalled consumer is recreated" TestWatchdogConsumer
	if idle < stallAfter {
		return nil
	}
	r.lastProgress = time.Now()
	//guard:false "a stalled connection is reset" TestWatchdogConnection
	if r.stalledConsumers++; r.stalledConsumers > 1 {
		r.log.Warn("reading stalled, forcing a reconnect", "lag", r.Lag())
		if err := r.source.reconnect(); err != nil {
			return err
		}
	}
	return doubtf(causeStalled, "the position has not moved for %v, with %d messages pending", idle.Round(time.Second), r.Lag())
}

// isClosed reports whether an error means that the connection is closed for
// good.
func isClosed(err error) bool { return errors.Is(err, nats.ErrConnectionClosed) }
