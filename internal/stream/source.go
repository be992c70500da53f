package stream

import (
	"context"
	"errors"
	"fmt"

	"rollcall/internal/roster"
)

// source is the stream as the reader sees it: JetStream, or in a test anything
// that fails as JetStream can.
type source interface {
	// info asks the stream's leader for the stream's state; errNoStream when
	// there is no stream of that name.
	info(ctx context.Context) (state, error)
	// get asks the leader for one message; errNoMessage when it has none under
	// that sequence.
	get(ctx context.Context, seq uint64) (Message, error)
	// deleted lists the sequences after the first that were deleted one by
	// one, in order.
	deleted(ctx context.Context) ([]uint64, error)
	// consume creates a consumer that delivers from a sequence on.
	consume(ctx context.Context, from uint64) (delivery, error)
	// reconnect ends the connection; it comes back by itself.
	reconnect() error
}

// delivery is what one consumer delivers.
type delivery interface {
	// next appends the available messages to dst, without their places. It
	// waits for the first, but now and then returns without any. A doubt means
	// that the consumer must be recreated.
	next(ctx context.Context, dst []Message) ([]Message, error)
	// pending is how many messages were pending when it was created.
	pending() uint64
	// close frees the consumer.
	close()
}

// state is the state of a stream at one moment.
type state struct {
	created roster.Time
	// first is the sequence of its first message, last that of the last message
	// ever stored. A stream without messages has first = last + 1.
	first, last uint64
	// configuredFirst is the sequence configured for its very first message
	// (first_seq); 0 means 1.
	configuredFirst uint64
}

// origin is the sequence of the stream's very first message: nothing was ever stored
// before it. If the stream has messages before begins, begins was configured later,
// and the origin is 1.
func (s state) origin() uint64 {
	if s.configuredFirst > s.first {
		return 1
	}
	return max(s.configuredFirst, 1)
}

var (
	errNoStream  = errors.New("stream not found")
	errNoMessage = errors.New("message not found")
)

// doubt is an error after which the consumer must be recreated. Its cause is one of
// the constants below.
type doubt struct {
	cause string
	err   error
}

// The causes for which a consumer is recreated.
const (
	causeReconnect   = "reconnect"   // the connection was lost
	causeDropped     = "dropped"     // a message was dropped in flight
	causeGap         = "gap"         // the stream seems to lack a message
	causeSilence     = "silence"     // not even a heartbeat
	causeStalled     = "stalled"     // behind, and nothing arrives
	causeServer      = "server"      // the server ended it
	causeCreate      = "create"      // it could not be created
	causeIncarnation = "incarnation" // the stream is another, or may be
)

var causes = []string{causeReconnect, causeDropped, causeGap, causeSilence, causeStalled, causeServer, causeCreate, causeIncarnation}

func doubtf(cause, format string, args ...any) error {
	return &doubt{cause, fmt.Errorf(format, args...)}
}

func (d *doubt) Error() string { return d.err.Error() }
func (d *doubt) Unwrap() error { return d.err }

// causeOf returns the cause of a doubt.
func causeOf(err error) string {
	var d *doubt
	if errors.As(err, &d) {
		return d.cause
	}
	return causeServer
}
