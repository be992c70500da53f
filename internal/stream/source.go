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
	// look asks the stream's leader how the stream stands; errNoStream when
	// there is none of that name.
	look(ctx context.Context) (state, error)
	// get asks the leader for one message; errNoMessage when it has none under
	// that sequence.
	get(ctx context.Context, seq uint64) (Message, error)
	// deleted lists the sequences after the first that were deleted one by
	// one, in order.
	deleted(ctx context.Context) ([]uint64, error)
	// consume makes a consumer that delivers from a sequence on.
	consume(ctx context.Context, from uint64) (delivery, error)
	// reconnect ends the connection; it comes back by itself.
	reconnect() error
}

// delivery is what one consumer delivers.
type delivery interface {
	// next appends the messages that are there to dst, without their places.
	// It waits for the first, and returns without any every now and then. A
	// doubt says that the consumer has to be made anew.
	next(ctx context.Context, dst []Message) ([]Message, error)
	// pending is how many messages there were to come when it was made.
	pending() uint64
	// close frees the consumer.
	close()
}

// state is how a stream stands.
type state struct {
	created roster.Time
	// first is the sequence of its first message, last of the last ever
	// stored. A stream without messages has first = last + 1.
	first, last uint64
	// begins is the sequence that its very first message was to have, by its
	// configuration (first_seq); 0 is 1.
	begins uint64
}

// origin is the sequence that its very first message has, or had: there never
// was anything before. A stream that has messages before the one that it was to
// begin with was configured so later.
func (s state) origin() uint64 {
	if s.begins > s.first {
		return 1
	}
	return max(s.begins, 1)
}

var (
	errNoStream  = errors.New("there is no such stream")
	errNoMessage = errors.New("there is no such message")
)

// doubt is why a consumer has to be made anew. The cause is one of a few.
type doubt struct {
	cause string
	err   error
}

// The causes of making a consumer anew.
const (
	causeReconnect   = "reconnect"   // the connection was away
	causeDropped     = "dropped"     // a message was lost on the way
	causeGap         = "gap"         // the stream seems to lack a message
	causeSilence     = "silence"     // not even a heartbeat
	causeStalled     = "stalled"     // behind, and nothing comes
	causeServer      = "server"      // the server ended it
	causeCreate      = "create"      // it could not be made
	causeIncarnation = "incarnation" // the stream is another, or may be
)

var causes = []string{causeReconnect, causeDropped, causeGap, causeSilence, causeStalled, causeServer, causeCreate, causeIncarnation}

func doubtful(cause, format string, args ...any) error {
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
