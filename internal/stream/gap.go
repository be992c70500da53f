package stream

import (
	"context"
	"slices"

	"rollcall/internal/roster"
)

// gap decides about the sequences after the position and before got, which a
// consumer has not delivered. If the stream says that they were deleted, so it
// is; what it says to begin after is lost. The rest, until a fresh consumer
// shows the same, puts the consumer in doubt. Then each is read, or explained.
func (r *reading) gap(ctx context.Context, got uint64, fresh bool) error {
	want := r.at.Sequence() + 1
	//guard:false "no message is folded as a later one" TestDeliveredAgain
	if got < want {
		return doubtful(causeDropped, "sequence %d after %d", got, want-1)
	}
	r.sawTail(got)
	removed, err := r.wereDeleted(ctx, want, got)
	switch {
	case err != nil:
		return err
	case removed:
		r.lose(got-1, roster.Deleted)
		return nil
	}
	if err := r.settle(ctx, got, state{}); err != nil {
		return err
	}
	switch want = r.at.Sequence() + 1; {
	case got == want:
		return nil
	//guard:false "what one consumer skips is no gap yet" TestSkippedOnce
	case !fresh:
		return doubtful(causeGap, "sequence %d after %d", got, want-1)
	}
	return r.explain(ctx, got)
}

// wereDeleted reports whether every sequence of [from, to) was deleted. The
// list of those that were is asked for when the last one doesn't tell: what was
// deleted stays so, and there may be many.
func (r *reading) wereDeleted(ctx context.Context, from, to uint64) (bool, error) {
	if runOf(r.removed, from, to) == to {
		return true, nil
	}
	removed, err := r.source.deleted(ctx)
	if err != nil {
		return false, err
	}
	r.removed = removed
	return runOf(r.removed, from, to) == to, nil
}

// runOf returns the end of the run of sequences from one on, and before to,
// that are in the list, which is in order.
func runOf(list []uint64, from, to uint64) uint64 {
	i, _ := slices.BinarySearch(list, from)
	end := from
	for ; end < to && i < len(list) && list[i] == end; i++ {
		end++
	}
	return end
}

// explain reads what there is of the sequences after the position and before
// got, and gives up the rest, each for its reason.
func (r *reading) explain(ctx context.Context, got uint64) error {
	for from := r.at.Sequence() + 1; from < got; from = r.at.Sequence() + 1 {
		var found *inventory
		runs, err := confirm(ctx,
			func(ctx context.Context) (*inventory, error) {
				var err error
				found, err = r.inventory(ctx, from, got, found)
				return found, err
			}, runsOf)
		if err != nil {
			return err
		}
		// They are of this incarnation only if the stream holds the position
		// once they are there.
		act, err := r.about(ctx, r.at, from, found.state)
		switch {
		case err != nil:
			return err
		case act.deed != read:
			return doubtful(causeIncarnation, "the stream does not hold the position any more")
		}
		for i := range runs {
			r.pass(&runs[i])
		}
	}
	return nil
}

// pass folds the messages of a stretch, or gives it up.
func (r *reading) pass(s *stretch) {
	switch s.found {
	case there:
		r.log.Warn("the consumer skips what the stream has", "stream", r.stream, "from", r.at.Sequence()+1, "count", len(s.messages))
		for _, m := range s.messages {
			m.Place = r.at.PlaceOf(m.Sequence)
			r.batch.Messages = append(r.batch.Messages, m)
		}
		r.flush()
	case deleted:
		r.lose(s.to-1, roster.Deleted)
	case before:
		r.lose(s.to-1, r.truncation())
	case absent:
		r.lose(s.to-1, roster.Gap)
	}
}

// undelivered decides about the sequences after the position up to the last
// one stored, if a fresh consumer has nothing to deliver, or those before it
// stood still.
func (r *reading) undelivered(ctx context.Context, d delivery, last uint64) error {
	for want := r.at.Sequence() + 1; want <= last && (d.pending() == 0 || r.stalled > 0); want = r.at.Sequence() + 1 {
		if err := r.moving(); err != nil { // the stream may lose its beginning as fast as it is given up
			return err
		}
		// The server delivers nothing in the place of a damaged message, and
		// when it is the last one no other message shows the gap.
		end, err := r.lacking(ctx, want, last+1)
		switch {
		case err != nil:
			return err
		case end == want && d.pending() > 0 && r.stalled < 3: // nor over a new connection
			return nil // it was the consumer
		//guard:false "what the stream has is read, though a consumer skips it" TestReasons
		case end == want:
			if err := r.explain(ctx, min(last+1, want+maxBatch)); err != nil {
				return err
			}
			return doubtful(causeGap, "the consumer has nothing to deliver, and the stream has sequence %d", want)
		}
		if err := r.explain(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

// lacking returns the end of the run of sequences from one on, and before to,
// that the stream does not have.
func (r *reading) lacking(ctx context.Context, from, to uint64) (uint64, error) {
	removed, err := r.wereDeleted(ctx, from, to)
	if removed || err != nil {
		return to, err
	}
	return r.absent(ctx, from, to)
}
