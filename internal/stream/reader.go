// Package stream reads the stream of events, from a position on, in batches.
//
// The reader is an ephemeral pull consumer of its own without acks, driven
// through a plain subscription: its place in the stream is the caller's
// position and nothing that the server keeps. A consumer is thrown away and
// made anew at position + 1 whenever something is in doubt: a reconnect, a
// message that was dropped on the way, a gap, silence. Only a gap that a fresh
// consumer shows again is a gap of the stream.
package stream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
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
// uses its space again.
type Batch struct {
	Messages []Message
	// End is the position once the batch is folded.
	End roster.Position
	// Missing is why sequences up to the end have no message in the batch.
	Missing roster.Loss

	bytes int // of all payloads
}

// A batch is ended by so many messages or bytes: enough to make what is paid
// for each batch small, few enough to wait for and to hold in memory.
const (
	maxBatch      = 512
	maxBatchBytes = 1 << 20
)

// Reader reads one stream.
type Reader struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	stream  string
	log     *slog.Logger
	metrics *metrics
	beat    time.Duration // how often an idle server says that it is there

	// Written by Run, read by others.
	position atomic.Uint64 // as a sequence
	tail     atomic.Uint64 // the last sequence known of
	target   atomic.Uint64 // the last sequence known at the start
	caughtUp atomic.Bool
}

// New returns a reader of a stream, over a connection that it shares with
// nobody who might block it.
func New(nc *nats.Conn, stream string, log *slog.Logger, reg prometheus.Registerer) (*Reader, error) {
	js, err := jetstream.New(nc)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return &Reader{nc: nc, js: js, stream: stream, log: log, metrics: newMetrics(reg), beat: 3 * time.Second}, nil
}

// CaughtUp reports whether the last sequence known at the start has been
// passed.
func (r *Reader) CaughtUp() bool { return r.caughtUp.Load() }

// Lag is how many sequences are known of and not yet folded.
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
// context ends (nil) or something happens that reading on cannot mend.
func (r *Reader) Run(ctx context.Context, from roster.Position, fold func(*Batch)) error {
	info, err := r.begin(ctx, &from)
	if err != nil {
		return ended(ctx, err)
	}
	r.position.Store(from.Sequence())
	r.target.Store(info.State.LastSeq)
	r.sawTail(info.State.LastSeq)
	return ended(ctx, r.read(ctx, from, fold))
}

// ended turns the errors of a context that is done into nil.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// read reads with one consumer after another.
func (r *Reader) read(ctx context.Context, from roster.Position, fold func(*Batch)) error {
	rd := reading{Reader: r, at: from, fold: fold}
	var watch sync.WaitGroup
	defer watch.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch.Go(func() { r.watchTail(ctx) })
	for pause := time.Duration(0); ; pause = min(2*pause+100*time.Millisecond, 2*time.Second) {
		before := rd.at
		cause, err := rd.consume(ctx)
		if ctx.Err() != nil {
			return nil
		}
		r.metrics.rebuilds.WithLabelValues(cause).Inc()
		r.log.Info("making the consumer anew", "cause", cause, "seq", rd.at.Sequence(), "err", err)
		if rd.at.Place != before.Place || cause == causeGap {
			pause = 0
		}
		if !sleep(ctx, pause) {
			return nil
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// watchTail keeps the lag honest while nothing is delivered.
func (r *Reader) watchTail(ctx context.Context) {
	for sleep(ctx, 5*time.Second) {
		if info, err := r.info(ctx); err == nil {
			r.sawTail(info.State.LastSeq)
		}
	}
}

func (r *Reader) sawTail(seq uint64) {
	for {
		known := r.tail.Load()
		if seq <= known || r.tail.CompareAndSwap(known, seq) {
			return
		}
	}
}

// folded notes how far reading has come. pending is how many messages the
// server has beyond that.
func (r *Reader) folded(seq, pending uint64) {
	r.position.Store(seq)
	r.sawTail(seq + pending)
	if pending == 0 || seq >= r.target.Load() {
		r.caughtUp.Store(true)
	}
}

func (r *Reader) info(ctx context.Context, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := r.js.Stream(ctx, r.stream)
	if err != nil {
		return nil, err
	}
	return s.Info(ctx, opts...)
}

const apiTimeout = 5 * time.Second

// errConsumer is why a consumer has to be made anew when the server said so.
var errConsumer = errors.New("the server ended the consumer")
