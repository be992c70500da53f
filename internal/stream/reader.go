// Package stream reads the stream of events, from a position on, in batches,
// and notices whatever happens to the stream.
//
// The reader is an ephemeral pull consumer of its own without acks, driven
// through a plain subscription: its place in the stream is the caller's
// position and nothing that the server keeps. A consumer is thrown away and
// made anew at position + 1 whenever something is in doubt: a reconnect, a
// message that was dropped on the way, a gap, silence. Before a fresh consumer's
// first message is handed on, and every few seconds, the position is verified
// (verdict.go); only a gap that a fresh consumer shows again is a gap of the
// stream (gap.go). In doubt the reader rewinds, and never skips.
package stream

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/steps"
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
	// Missing is why places up to the end have no message in the batch.
	Missing roster.Loss
	// Unread says that End begins another incarnation of the stream, and that
	// what the last one had after the position was never read.
	Unread bool
}

// A batch is ended by so many messages or bytes: enough to make what is paid
// for each batch small, few enough to wait for and to hold in memory.
const (
	maxBatch      = 512
	maxBatchBytes = 1 << 20
)

// Config is what a Reader needs.
type Config struct {
	// Conn is shared with nobody who might block it.
	Conn   *nats.Conn
	Stream string
	// Earlier returns positions of before, the newest first: where to go back
	// to when the stream turns out to be an older copy. It must be safe for use by
	// several goroutines.
	Earlier func() []roster.Position
	// Make makes the stream when it is missing.
	Make     func(context.Context) error
	Log      *slog.Logger
	Registry prometheus.Registerer
}

// Reader reads one stream.
type Reader struct {
	source     source
	stream     string
	earlier    func() []roster.Position
	makeStream func(context.Context) error
	log        *slog.Logger
	metrics    *metrics

	// Written by Run, read by others.
	position atomic.Uint64 // as a sequence
	tail     atomic.Uint64 // the last sequence known of
	target   atomic.Uint64 // the last sequence known at the start
	caughtUp atomic.Bool
}

// New returns a reader and registers its metrics.
func New(c Config) (*Reader, error) {
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return newReader(c, &jetStream{nc: c.Conn, js: js, stream: c.Stream, beat: 3 * time.Second}), nil
}

func newReader(c Config, s source) *Reader {
	return &Reader{
		source: s, stream: c.Stream, earlier: c.Earlier, makeStream: c.Make,
		log: c.Log, metrics: newMetrics(c.Registry),
	}
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
// context ends. It returns an error only when the connection has ended for
// good.
func (r *Reader) Run(ctx context.Context, from roster.Position, fold func(*Batch)) error {
	rd := &reading{Reader: r, fold: fold}
	rd.move(from)
	var pause time.Duration
	for ctx.Err() == nil {
		before := rd.at
		err := rd.once(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case isClosed(err):
			return fmt.Errorf("reading stream %s: %w", r.stream, err)
		}
		rd.complain(err)
		if pause = min(2*pause+50*time.Millisecond, 2*time.Second); rd.at != before || causeOf(err) == causeGap {
			pause = 0
		}
		sleep(ctx, pause)
	}
	return nil
}

// complainEvery is how often the same cause is logged.
const complainEvery = 20 * time.Second

// complain counts and logs why a consumer is made anew.
func (r *reading) complain(err error) {
	cause := causeOf(err)
	r.metrics.rebuilds.WithLabelValues(cause).Inc()
	if cause == r.complaint && time.Since(r.complained) < complainEvery {
		return
	}
	r.complaint, r.complained = cause, time.Now()
	r.log.Info("making the consumer anew", "cause", cause, "seq", r.at.Sequence(), "err", err)
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
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

// begun notes the first look at the stream: from here on the roster is caught
// up once it has passed the last sequence.
func (r *Reader) begun() {
	r.target.CompareAndSwap(0, r.tail.Load())
	if r.position.Load() >= r.target.Load() {
		r.caughtUp.Store(true)
	}
}

// reading is one run of a Reader.
type reading struct {
	*Reader
	at   roster.Position
	fold func(*Batch)

	batch   Batch
	taken   []Message
	suspect uint64    // the sequence that the last consumer did not have
	removed []uint64  // sequences known to be deleted, in order
	moved   time.Time // when the position last moved, or nothing was to come
	stalled int       // how many consumers in a row stood still

	complaint  string // the last cause logged, and when
	complained time.Time

	mu     sync.Mutex
	proven roster.Position // at, for the watch
}

// move moves the position.
func (r *reading) move(to roster.Position) {
	r.at, r.moved, r.stalled = to, time.Now(), 0
	r.position.Store(to.Sequence())
	r.mu.Lock()
	r.proven = to
	r.mu.Unlock()
}

// once reads with one consumer, until something is in doubt. The consumer is
// made before the position is verified: if the stream becomes another after
// that, the consumer is gone with it.
func (r *reading) once(ctx context.Context) error {
	st, lookErr := r.source.look(ctx)
	d, consumeErr := r.source.consume(ctx, r.at.Sequence()+1)
	if consumeErr == nil {
		defer d.close()
	}
	if err := r.settle(ctx); err != nil {
		return err
	}
	if consumeErr != nil {
		return consumeErr
	}
	if lookErr == nil && st.created == r.at.Proof.Created {
		if err := r.undelivered(ctx, d, st.last); err != nil {
			return err
		}
	}
	r.begun()
	return r.watched(ctx, d)
}

// watched follows a consumer until it, or the watch, is in doubt.
func (r *reading) watched(ctx context.Context, d delivery) error {
	ctx, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer end(nil)
	watch.Go(func() { r.watch(ctx, end) })
	err := r.follow(ctx, d)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// follow folds what a consumer delivers.
func (r *reading) follow(ctx context.Context, d delivery) error {
	for {
		var err error
		r.taken, err = d.next(ctx, r.taken[:0])
		if foldErr := r.take(ctx); foldErr != nil {
			return foldErr
		}
		if err != nil {
			return err
		}
		if err := r.moving(); err != nil {
			return err
		}
	}
}

// take folds the messages that were delivered.
func (r *reading) take(ctx context.Context) error {
	for i := range r.taken {
		m := &r.taken[i]
		if m.Sequence != r.at.Sequence()+uint64(len(r.batch.Messages))+1 {
			r.flush()
			if err := r.gap(ctx, m.Sequence); err != nil {
				return err
			}
		}
		m.Place = r.at.Base + m.Sequence
		r.batch.Messages = append(r.batch.Messages, *m)
	}
	r.flush()
	clear(r.taken) // what was folded may be freed
	return nil
}

// flush folds the batch.
func (r *reading) flush() {
	b := &r.batch
	n := len(b.Messages)
	if n == 0 {
		return
	}
	last := &b.Messages[n-1]
	b.End = r.at
	b.End.Place = last.Place
	last.prove(&b.End.Proof)
	r.fold(b)
	steps.At("batch-folded")
	r.move(b.End)
	r.sawTail(last.Sequence)
	r.begun()
	clear(b.Messages)
	b.Messages = b.Messages[:0]
}
