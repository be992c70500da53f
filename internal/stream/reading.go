package stream

import (
	"cmp"
	"context"
	"errors"
	"sync"
	"time"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
)

// reportRebuild counts and logs why a consumer is recreated.
func (r *reading) reportRebuild(err error) {
	cause := causeOf(err)
	r.metrics.rebuilds.WithLabelValues(cause).Inc()
	r.log.Info("recreating the consumer", "cause", cause, "seq", r.at.Sequence(), "err", err)
}

// reading is one run of a Reader.
type reading struct {
	*Reader
	at   roster.Position
	fold func(*Batch)

	batch            Batch
	fetched          []Message
	fresh            bool      // the consumer has not delivered yet
	targetSet        bool      // the target is known
	confirmed        state     // of the stream: by two witnesses, or by assigned places
	losses           losses    // not logged yet
	removed          []uint64  // sequences known to be deleted, in order
	lastProgress     time.Time // when a message was last folded, or none was pending
	lastMoveLost     bool      // the position was last moved by a loss
	stalledConsumers int       // how many consumers in a row have stalled
	// assignedLoaded: the places assigned before the start are known.
	// otherIncarnation: some of them were assigned after the position and in another
	// incarnation.
	assignedLoaded, otherIncarnation bool
	claim                            AssignedPlace // the greatest of those places, still to be checked

	mu             sync.Mutex
	sharedPosition roster.Position // a copy of at, for watch
	waiting        bool            // for the consumer to deliver
}

// setPosition moves the position. That does not count as a delivery: a consumer with
// nothing but losses is stalled.
func (r *reading) setPosition(to roster.Position) {
	r.at = to
	r.position.Store(to.Sequence())
	r.mu.Lock()
	r.sharedPosition = to
	r.mu.Unlock()
}

// recordDelivery records, for the watchdog, that a message was delivered.
func (r *reading) recordDelivery() {
	r.lastProgress, r.stalledConsumers, r.lastMoveLost = time.Now(), 0, false
}

// readWithOneConsumer reads with one consumer until something is in doubt. The
// consumer is created before the position is verified: if the stream is replaced
// after that, the consumer is gone with it.
func (r *reading) readWithOneConsumer(ctx context.Context) error {
	if err := r.loadAssigned(ctx); err != nil {
		return err
	}
	st, infoErr := r.source.info(ctx)
	if infoErr == nil && r.at.Proof.Stream != "" && st.created != r.at.Proof.Created {
		// A deposed leader may have answered.
		st, infoErr = r.source.info(ctx)
	}
	if infoErr != nil && !errors.Is(infoErr, errNoStream) {
		return infoErr
	}
	d, err := r.source.consume(ctx, r.at.Sequence()+1)
	if err != nil {
		return cmp.Or(r.verifyWithoutConsumer(ctx), err)
	}
	defer d.close()
	deliverErr := r.awaitFirst(ctx, d)
	//guard:set r.settle(...) error(nil) "nothing of another stream is folded" ^TestRecreated$
	if err := r.settle(ctx, r.firstDelivered(d, st), r.confirmState(d, st)); err != nil {
		return err
	}
	if r.fresh = true; deliverErr == nil {
		r.setTarget()
	}
	return r.readWatched(ctx, func(ctx context.Context) error {
		if err := cmp.Or(r.foldDelivered(ctx), deliverErr); err != nil {
			return err
		}
		if r.fresh && infoErr == nil && st.created == r.at.Proof.Created {
			//guard:set r.resolveUndelivered(...) error(nil) "an undelivered message is requested" ./internal/test/faults:TestDamage/flipped_in_the_last_message
			if err := r.resolveUndelivered(ctx, d, st.last); err != nil {
				return err
			}
		}
		r.updateCaughtUp()
		return r.readUntilDoubt(ctx, d)
	})
}

// awaitFirst waits for the first delivery of a fresh consumer.
func (r *reading) awaitFirst(ctx context.Context, d delivery) error {
	r.fetched = r.fetched[:0]
	if d.pending() == 0 {
		return nil
	}
	within, cancel := context.WithTimeout(ctx, deliverWithin)
	defer cancel()
	for len(r.fetched) == 0 {
		var err error
		r.fetched, err = d.next(within, r.fetched)
		switch {
		case within.Err() != nil && ctx.Err() == nil:
			return nil
		case err != nil:
			return err
		}
	}
	return nil
}

// firstDelivered returns the first sequence that a fresh consumer delivers. If it
// has nothing pending, that is the next sequence after before, the state of the
// stream before the consumer was created. 0: not known.
func (r *reading) firstDelivered(d delivery, before state) uint64 {
	switch {
	case len(r.fetched) > 0:
		return r.fetched[0].Sequence
	case d.pending() == 0:
		return before.last + 1
	}
	return 0
}

// verifyWithoutConsumer verifies the position when no consumer can be created, for
// example because the stream is missing. It gives nothing up as lost: a later
// consumer may still deliver it.
func (r *reading) verifyWithoutConsumer(ctx context.Context) error {
	return r.settle(ctx, r.at.Sequence()+1, state{})
}

// confirmState returns the state of the stream before its consumer was created. Its
// last sequence is one that both that state and the consumer confirm, since the
// state alone may be a deposed leader's. If an earlier consumer has confirmed a
// greater one, that counts.
func (r *reading) confirmState(d delivery, before state) state {
	before.last = min(before.last, r.at.Sequence()+d.pending())
	if r.confirmed.created == before.created {
		before.last = max(before.last, r.confirmed.last)
	}
	r.confirmed = before
	return before
}

// readWatched runs read with watch beside it, until either of them is in doubt.
func (r *reading) readWatched(ctx context.Context, read func(context.Context) error) error {
	ctx, end := context.WithCancelCause(ctx)
	var watch sync.WaitGroup
	defer watch.Wait()
	defer end(nil)
	//guard:drop "another stream is detected while reading" ./internal/test/faults:TestRetention/running,_and_nothing_after
	watch.Go(func() { r.watch(ctx, end) })
	err := read(ctx)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// readUntilDoubt folds what a consumer delivers.
func (r *reading) readUntilDoubt(ctx context.Context, d delivery) error {
	for {
		if err := r.checkProgress(); err != nil {
			return err
		}
		var err error
		r.setWaiting(true)
		r.fetched, err = d.next(ctx, r.fetched[:0])
		r.setWaiting(false)
		r.logLosses(false)
		if foldErr := r.foldDelivered(ctx); foldErr != nil {
			return foldErr
		}
		if err != nil {
			return err
		}
	}
}

// foldDelivered folds the messages that were delivered.
func (r *reading) foldDelivered(ctx context.Context) error {
	for i := range r.fetched {
		m := &r.fetched[i]
		//guard:false "no message is skipped silently" ^TestGaps$
		if m.Sequence != r.at.Sequence()+uint64(len(r.batch.Messages))+1 {
			//guard:drop "places are in order" ^TestGaps$
			r.flush()
			if err := r.handleGap(ctx, m.Sequence, r.fresh); err != nil {
				return err
			}
		}
		r.fresh = false
		m.Place = r.at.PlaceOf(m.Sequence)
		r.batch.Messages = append(r.batch.Messages, *m)
	}
	r.flush()
	clear(r.fetched) // what was folded may be freed
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
	last.fillProof(&b.End.Proof)
	r.fold(b)
	failpoint.At("batch-folded")
	r.setPosition(b.End)
	r.recordDelivery()
	r.raiseTail(last.Sequence)
	r.updateCaughtUp()
	clear(b.Messages)
	b.Messages = b.Messages[:0]
}
