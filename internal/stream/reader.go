// Package stream reads the stream of events in batches, from a position on, and
// detects lost messages and another incarnation of the stream.
//
// The reader has its own ephemeral pull consumer without acks, driven through a
// plain subscription. The caller's position says how far it has read; the server
// keeps nothing that counts. Whenever something is in doubt (a reconnect, a message
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
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/failpoint"
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
	// Unread means that End begins another incarnation of the stream, and that
	// the rest of the last one was never read: as many places are missing as are
	// known.
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
	Conn   *nats.Conn
	Stream string
	// Earlier returns earlier positions, the newest first: where to go back to when
	// the stream turns out to be an older copy. It must be safe for concurrent use.
	Earlier func() []roster.Position
	// Given returns the last places that are recorded outside the snapshots: a
	// process may have crashed after it gave places that no snapshot has. It may be
	// nil. After an error it is called again.
	Given func(context.Context) ([]Given, error)
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
	source     source
	stream     string
	earlier    func() []roster.Position
	given      func(context.Context) ([]Given, error)
	makeStream func(context.Context) error
	log        *slog.Logger
	metrics    *metrics

	// Written by Run, read by others.
	position atomic.Uint64 // as a sequence
	tail     atomic.Uint64 // the last sequence known
	target   atomic.Uint64 // the last sequence known when the first consumer delivered
	caughtUp atomic.Bool
}

// New returns a reader and registers its metrics.
func New(c Config) (*Reader, error) {
	js, err := jetstream.New(c.Conn)
	if err != nil {
		return nil, fmt.Errorf("opening JetStream: %w", err)
	}
	return newReader(c, &jetStream{nc: c.Conn, js: js, stream: c.Stream, consumer: consumerName(c.ID), beat: 3 * time.Second}), nil
}

func newReader(c Config, s source) *Reader {
	return &Reader{
		source: s, stream: c.Stream, earlier: c.Earlier, given: c.Given, makeStream: c.Make,
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
	defer rd.tellLosses(true)
	rd.move(from)
	rd.delivered()
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
		//guard:drop "a server that is away is not flooded" TestPauses
		sleep(ctx, pause)
	}
	return nil
}

// complain counts and logs why a consumer is recreated.
func (r *reading) complain(err error) {
	cause := causeOf(err)
	r.metrics.rebuilds.WithLabelValues(cause).Inc()
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

// reading is one run of a Reader.
type reading struct {
	*Reader
	at   roster.Position
	fold func(*Batch)

	batch   Batch
	taken   []Message
	fresh   bool      // the consumer has not delivered yet
	aimed   bool      // the target is known
	told    state     // of the stream: by two witnesses, or by recalled places
	losses  losses    // not logged yet
	removed []uint64  // sequences known to be deleted, in order
	moved   time.Time // when a message was last folded, or none was pending
	losing  bool      // the position was last moved by a loss
	stalled int       // how many consumers in a row have stalled
	// recalled: the places given before the start are known. elsewhere: some of them
	// were given after the position and in another incarnation.
	recalled, elsewhere bool
	claim               Given // the greatest of those places, still to be checked

	mu      sync.Mutex
	proven  roster.Position // a copy of at, for watch
	waiting bool            // for the consumer to deliver
}

// move moves the position. That does not count as a delivery: a consumer with
// nothing but losses is stalled.
func (r *reading) move(to roster.Position) {
	r.at = to
	r.position.Store(to.Sequence())
	r.mu.Lock()
	r.proven = to
	r.mu.Unlock()
}

// delivered records, for the watchdog, that a message was delivered.
func (r *reading) delivered() { r.moved, r.stalled, r.losing = time.Now(), 0, false }

// deliverWithin is how long to wait for the first message of a fresh consumer that
// has messages pending, before the stream is asked. Delivered messages are in memory
// then, even if they leave the stream meanwhile.
const deliverWithin = 2 * time.Second

// once reads with one consumer until something is in doubt. The consumer is created
// before the position is verified: if the stream is replaced after that, the
// consumer is gone with it.
func (r *reading) once(ctx context.Context) error {
	if err := r.recall(ctx); err != nil {
		return err
	}
	st, lookErr := r.source.look(ctx)
	if lookErr == nil && r.at.Proof.Stream != "" && st.created != r.at.Proof.Created {
		// A deposed leader may have answered.
		st, lookErr = r.source.look(ctx)
	}
	if lookErr != nil && !errors.Is(lookErr, errNoStream) {
		return lookErr
	}
	d, err := r.source.consume(ctx, r.at.Sequence()+1)
	if err != nil {
		return cmp.Or(r.settleWithout(ctx), err)
	}
	defer d.close()
	deliverErr := r.awaitFirst(ctx, d)
	//guard:set r.settle(...) error(nil) "nothing of another stream is folded" ^TestRecreated$
	if err := r.settle(ctx, r.first(d, st), r.toldTwice(d, st)); err != nil {
		return err
	}
	if r.fresh = true; deliverErr == nil {
		r.aim()
	}
	return r.watched(ctx, func(ctx context.Context) error {
		if err := cmp.Or(r.take(ctx), deliverErr); err != nil {
			return err
		}
		if r.fresh && lookErr == nil && st.created == r.at.Proof.Created {
			//guard:set r.undelivered(...) error(nil) "an undelivered message is asked for" ./internal/test/faults:TestDamage/flipped_in_the_last_message
			if err := r.undelivered(ctx, d, st.last); err != nil {
				return err
			}
		}
		r.passed()
		return r.follow(ctx, d)
	})
}

// awaitFirst waits for the first delivery of a fresh consumer.
func (r *reading) awaitFirst(ctx context.Context, d delivery) error {
	r.taken = r.taken[:0]
	if d.pending() == 0 {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	for len(r.taken) == 0 {
		var err error
		r.taken, err = d.next(within, r.taken)
		switch {
		case within.Err() != nil && ctx.Err() == nil:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// first returns the first sequence that a fresh consumer delivers. If it has nothing
// pending, that is the next sequence after before, the state of the stream before
// the consumer was created. 0: not known.
func (r *reading) first(d delivery, before state) uint64 {
	switch {
	case len(r.taken) > 0:
		return r.taken[0].Sequence
	case d.pending() == 0:
		return before.last + 1
	}
	return 0
}

// settleWithout verifies the position when no consumer can be created, for example
// because the stream is missing. It gives nothing up as lost: a later consumer may
// still deliver it.
func (r *reading) settleWithout(ctx context.Context) error {
	return r.settle(ctx, r.at.Sequence()+1, state{})
}

// toldTwice returns the state of the stream before its consumer was created. Its
// last sequence is one that both that state and the consumer confirm, since the
// state alone may be a deposed leader's. If an earlier consumer has confirmed a
// greater one, that counts.
func (r *reading) toldTwice(d delivery, before state) state {
	before.last = min(before.last, r.at.Sequence()+d.pending())
	if r.told.created == before.created {
		before.last = max(before.last, r.told.last)
	}
	r.told = before
	return before
}

// watched runs read with watch beside it, until either of them is in doubt.
func (r *reading) watched(ctx context.Context, read func(context.Context) error) error {
	ctx, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer end(nil)
	//guard:drop "another stream is noticed at run time" ./internal/test/faults:TestRetention/running,_and_nothing_after
	watch.Go(func() { r.watch(ctx, end) })
	err := read(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// follow folds what a consumer delivers.
func (r *reading) follow(ctx context.Context, d delivery) error {
	for {
		if err := r.moving(); err != nil {
			return err
		}
		var err error
		r.wait(true)
		r.taken, err = d.next(ctx, r.taken[:0])
		r.wait(false)
		r.tellLosses(false)
		if foldErr := r.take(ctx); foldErr != nil {
			return foldErr
		}
		if err != nil {
			return err
		}
	}
}

// take folds the messages that were delivered.
func (r *reading) take(ctx context.Context) error {
	for i := range r.taken {
		m := &r.taken[i]
		//guard:false "no message is passed over silently" ^TestGaps$
		if m.Sequence != r.at.Sequence()+uint64(len(r.batch.Messages))+1 {
			//guard:drop "places are in order" ^TestGaps$
			r.flush()
			if err := r.gap(ctx, m.Sequence, r.fresh); err != nil {
				return err
			}
		}
		r.fresh = false
		m.Place = r.at.PlaceOf(m.Sequence)
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
	failpoint.At("batch-folded")
	r.move(b.End)
	r.delivered()
	r.sawTail(last.Sequence)
	r.passed()
	clear(b.Messages)
	b.Messages = b.Messages[:0]
}
