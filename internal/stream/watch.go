package stream

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// verifyEvery is how often a position is verified while reading.
	verifyEvery = 4 * time.Second
	// stallAfter is how long the position may stand still while the stream has
	// more: a consumer can stall for ever after a leader change.
	stallAfter = 10 * time.Second
)

// watch verifies the position every few seconds, and ends the following with a
// doubt when the stream does not hold it twice in a row. It also keeps the lag
// honest while nothing is delivered.
func (r *reading) watch(ctx context.Context, end context.CancelCauseFunc) {
	for sleep(ctx, verifyEvery) {
		first, err := r.holds(ctx)
		if first || err != nil || !sleep(ctx, confirmAfter) {
			continue
		}
		if again, err := r.holds(ctx); !again && err == nil {
			end(doubtful(causeIncarnation, "the stream does not hold the position any more"))
			return
		}
	}
}

// holds reports whether the stream is there and holds the position, as far as
// it still tells, and what comes after that.
func (r *reading) holds(ctx context.Context) (bool, error) {
	r.mu.Lock()
	at := r.proven
	r.mu.Unlock()
	found, _, err := r.judge(ctx, at)
	return found == same, err
}

// moving reports a doubt when the stream has more and the position stands
// still. A second consumer that stands still too gets a new connection.
func (r *reading) moving() error {
	if r.Lag() == 0 {
		r.moved = time.Now()
		return nil
	}
	still := time.Since(r.moved)
	if still < stallAfter {
		return nil
	}
	r.moved = time.Now()
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
