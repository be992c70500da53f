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
	// stallAfter is how long the position may stand still while the stream has
	// more: a consumer can stall for ever after a leader change.
	stallAfter = 10 * time.Second
)

// watch verifies the position every few seconds, and ends the following with a
// doubt when the stream is another, or has lost what comes next while nothing is
// delivered. It also keeps the lag honest while nothing is delivered.
func (r *reading) watch(ctx context.Context, end context.CancelCauseFunc) {
	for sleep(ctx, verifyEvery) {
		at, wasWaiting := r.standing()
		act, err := r.about(ctx, at, 0, state{})
		if err != nil || act.deed == read {
			continue
		}
		if now, waiting := r.standing(); act.deed == lose && !(wasWaiting && waiting && now == at) {
			continue // what has left the stream may have been delivered before
		}
		end(doubtful(causeIncarnation, "the stream does not hold the position any more: %s", act.deed))
		return
	}
}

// standing is the position, and whether a delivery is waited for there.
func (r *reading) standing() (at roster.Position, waiting bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.proven, r.waiting
}

// wait notes whether a delivery is waited for.
func (r *reading) wait(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.waiting = is
}

// moving reports a doubt when the stream has more and the position stands
// still. A second consumer that stands still too gets a new connection.
func (r *reading) moving() error {
	//guard:false "an idle stream is left in peace" TestIdle
	if r.Lag() == 0 {
		if !r.losing { // or nothing is to come because it is lost
			r.moved = time.Now()
		}
		r.losing = false
		return nil
	}
	still := time.Since(r.moved)
	//guard:true "a consumer that stalls is made anew" TestWatchdogConsumer
	if still < stallAfter {
		return nil
	}
	r.moved = time.Now()
	//guard:false "a connection that stalls is made anew" TestWatchdogConnection
	if r.stalled++; r.stalled > 1 {
		r.log.Warn("reading stands still: connecting anew", "lag", r.Lag())
		if err := r.source.reconnect(); err != nil {
			return err
		}
	}
	return doubtful(causeStalled, "the position has not moved for %v, with %d messages to come", still.Round(time.Second), r.Lag())
}

// isClosed reports whether an error says that the connection has ended for
// good.
func isClosed(err error) bool { return errors.Is(err, nats.ErrConnectionClosed) }
