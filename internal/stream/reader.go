// Package stream reads the stream of events in batches, from a position on, and
// detects lost messages and another incarnation of the stream.
//
// The reader has its own ephemeral pull consumer without acks, driven through a
// plain subscription. The caller's position says how far it has read; the server
// keeps no state of it. Whenever something is in doubt (a reconnect, a message
// dropped on the way, a gap, silence), the consumer is deleted and recreated at
// position + 1. Before a fresh consumer's first message is handed on, and every few
// seconds after that, the position is verified: decide.go has the table of which
// answers lead to what, and confirm.go asks. A gap is a gap of the stream only if a
// fresh consumer shows it again (gap.go). In doubt the reader rewinds; it never
// skips.
//
// The reader never waits for an answer that only a stream at rest could give, since
// retention may remove a message at any moment. So a reader that can read reaches
// the end, whatever the traffic and the retention.
package stream

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

// Message is one message of the stream.
type Message struct {
	*nats.Msg
	Sequence uint64
	Place    uint64
	// Receipt is when the stream stored it.
	Receipt roster.Time
}

// Batch is a run of messages in the order of their sequences. The next batch
// reuses its memory.
type Batch struct {
	Messages []Message
	// End is the position once the batch is folded.
	End roster.Position
	// Missing is why some places up to End have no message in the batch.
	Missing roster.Loss
	// Unread means that End begins another incarnation of the stream, and that the
	// end of the previous one was never read. Of its messages, those known of are
	// among the missing places.
	Unread bool
}

// A batch ends at this many messages or bytes: enough to make the cost per batch
// small, few enough to wait for and to hold in memory.
const (
	maxBatch      = 512
	maxBatchBytes = 1 << 20
)

// Config is what a Reader needs.
type Config struct {
	// Conn must not be shared with anybody who might block it.
	Conn *nats.Conn
	// API begins the subjects of requests to JetStream; "" is "$JS.API.".
	API    string
	Stream string
	// Earlier returns earlier positions, the newest first: where to go back to when
	// the stream turns out to be an older copy. It must be safe for concurrent use.
	Earlier func() []roster.Position
	// AssignedPlaces returns the last places that are recorded outside the snapshots: a
	// process may have crashed after it gave places that no snapshot has. It may be
	// nil. After an error it is called again.
	AssignedPlaces func(context.Context) ([]AssignedPlace, error)
	// ID names the consumer. It is the same for each process that reads for the same
	// roster, and for no other, so that a start deletes the consumer that a crash has
	// left. If it is empty each Reader makes up its own.
	ID string
	// Make creates the stream when it is missing.
	Make     func(context.Context) error
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Reader reads one stream.
type Reader struct {
	source         source
	stream         string
	earlier        func() []roster.Position
	assignedPlaces func(context.Context) ([]AssignedPlace, error)
	makeStream     func(context.Context) error
	log            *slog.Logger
	metrics        *metrics

	// Written by Run, read by others.
	position atomic.Uint64 // as a sequence
	tail     atomic.Uint64 // the last sequence known
	target   atomic.Uint64 // the last sequence known when the first consumer delivered
	caughtUp atomic.Bool
}

// New returns a reader and registers its metrics.
func New(c Config) (*Reader, error) {
	api := cmp.Or(c.API, jetstream.DefaultAPIPrefix)
	js, err := jetstream.NewWithAPIPrefix(c.Conn, api)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return newReader(c, &jetStream{nc: c.Conn, js: js, api: api, stream: c.Stream, consumer: consumerName(c.ID), beat: 3 * time.Second}), nil
}

func newReader(c Config, s source) *Reader {
	return &Reader{
		source: s, stream: c.Stream, earlier: c.Earlier, assignedPlaces: c.AssignedPlaces, makeStream: c.Make,
		log: c.Log, metrics: newMetrics(c.Registry),
	}
}

// CaughtUp reports whether everything has been folded that the stream had when the
// first consumer delivered, and still has. A loss is not catching up: if everything
// up to the target is lost, the target moves to the last sequence known.
func (r *Reader) CaughtUp() bool { return r.caughtUp.Load() }

// Lag is how many known sequences are not folded yet.
func (r *Reader) Lag() uint64 {
	position, tail := r.position.Load(), r.tail.Load()
	if tail < position {
		return 0
	}
	return tail - position
}

// Target is the last sequence known at the start, which CaughtUp waits for.
func (r *Reader) Target() uint64 { return r.target.Load() }

// Run reads on after a position and hands each batch to fold, until the
// context ends. It returns an error only when the connection has ended for
// good.
func (r *Reader) Run(ctx context.Context, from roster.Position, fold func(*Batch)) error {
	rd := &reading{Reader: r, fold: fold}
	defer rd.logLosses(true)
	rd.setPosition(from)
	rd.recordDelivery()
	var pause time.Duration
	for ctx.Err() == nil {
		before := rd.at
		err := rd.readWithOneConsumer(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case isClosed(err):
			return fmt.Errorf("reading stream %s: %w", r.stream, err)
		}
		rd.reportRebuild(err)
		if pause = min(2*pause+50*time.Millisecond, 2*time.Second); rd.at != before || causeOf(err) == causeGap {
			pause = 0
		}
		//guard:drop "an unreachable server is not flooded" TestPauses
		sleep(ctx, pause)
	}
	return nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func (r *Reader) raiseTail(seq uint64) {
	for {
		known := r.tail.Load()
		if seq <= known || r.tail.CompareAndSwap(known, seq) {
			return
		}
	}
}

// deliverWithin is how long to wait for the first message of a fresh consumer that
// has messages pending, before the stream is asked. Delivered messages are in memory
// then, even if they leave the stream meanwhile.
const deliverWithin = 2 * time.Second
