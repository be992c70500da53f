package stream

import (
	"context"
	"slices"

	"rollcall/internal/roster"
)

// handleGap decides about the sequences after the position and before got, which a
// consumer has not delivered. If the stream lists all of them as deleted, they are
// lost as deleted. Those before the stream's first message are lost, too. If any
// remain the consumer is in doubt, unless it is fresh: then the gap is in the
// stream, and resolveGap reads each of them or gives it up.
func (r *reading) handleGap(ctx context.Context, got uint64, fresh bool) error {
	want := r.at.Sequence() + 1
	//guard:false "a repeated message is not folded under a later place" TestDeliveredAgain
	if got < want {
		return doubtf(causeDropped, "sequence %d after %d", got, want-1)
	}
	r.raiseTail(got)
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
	//guard:false "a gap that one consumer shows is not a loss yet" TestSkippedOnce
	case !fresh:
		return doubtf(causeGap, "sequence %d after %d", got, want-1)
	}
	return r.resolveGap(ctx, got)
}

// wereDeleted reports whether every sequence of [from, to) was deleted. It requests
// the list of deleted sequences only if the last list does not cover these: what
// was deleted stays deleted, and the list may be long.
func (r *reading) wereDeleted(ctx context.Context, from, to uint64) (bool, error) {
	if endOfRun(r.removed, from, to) == to {
		return true, nil
	}
	removed, err := r.source.deleted(ctx)
	if err != nil {
		return false, err
	}
	r.removed = removed
	return endOfRun(r.removed, from, to) == to, nil
}

// endOfRun returns the end of the run of sequences in list that begins at from. The
// end is exclusive and at most to. The list is sorted.
func endOfRun(list []uint64, from, to uint64) uint64 {
	i, _ := slices.BinarySearch(list, from)
	end := from
	for ; end < to && i < len(list) && list[i] == end; i++ {
		end++
	}
	return end
}

// resolveGap reads the messages that the stream has between the position and got, and
// gives up the other sequences as lost, each for its reason.
func (r *reading) resolveGap(ctx context.Context, got uint64) error {
	for from := r.at.Sequence() + 1; from < got; from = r.at.Sequence() + 1 {
		var found *gapCheck
		runs, err := confirm(ctx,
			func(ctx context.Context) (*gapCheck, error) {
				var err error
				found, err = r.checkGap(ctx, from, got, found)
				return found, err
			}, decideGap)
		if err != nil {
			return err
		}
		// The runs belong to this incarnation only if the stream still has the
		// position now that they were read.
		act, err := r.verify(ctx, r.at, from, found.state)
		switch {
		case err != nil:
			return err
		case act.decision != read:
			return doubtf(causeIncarnation, "the stream no longer has the position")
		}
		for i := range runs {
			r.applyRun(&runs[i])
		}
	}
	return nil
}

// applyRun folds the messages of a run, or gives it up as lost.
func (r *reading) applyRun(s *seqRun) {
	switch s.found {
	case present:
		r.log.Warn("consumer skipped messages that the stream has", "stream", r.stream, "from", r.at.Sequence()+1, "count", len(s.messages))
		for _, m := range s.messages {
			m.Place = r.at.PlaceOf(m.Sequence)
			r.batch.Messages = append(r.batch.Messages, m)
		}
		r.flush()
	case deleted:
		r.lose(s.to-1, roster.Deleted)
	case beforeFirst:
		r.lose(s.to-1, r.truncation())
	case absent:
		r.lose(s.to-1, roster.Gap)
	}
}

// resolveUndelivered decides about the sequences after the position, up to the last one
// stored, if a fresh consumer has none pending, or the consumers before it stalled.
func (r *reading) resolveUndelivered(ctx context.Context, d delivery, last uint64) error {
	for want := r.at.Sequence() + 1; want <= last && (d.pending() == 0 || r.stalledConsumers > 0); want = r.at.Sequence() + 1 {
		// The stream may lose messages as fast as they are given up.
		if err := r.checkProgress(); err != nil {
			return err
		}
		// The server skips a damaged message. If it is the last one, no later
		// message shows the gap.
		end, err := r.missingOrDeletedRun(ctx, want, last+1)
		switch {
		case err != nil:
			return err
		case end == want && d.pending() > 0 && r.stalledConsumers < 3:
			// The consumer is at fault, not the stream: none has stalled over a new
			// connection yet.
			return nil
		//guard:false "messages that a consumer skips are read from the stream" TestHiddenTail
		case end == want:
			if err := r.resolveGap(ctx, min(last+1, want+maxBatch)); err != nil {
				return err
			}
			return doubtf(causeGap, "the consumer has nothing pending, but the stream has sequence %d", want)
		}
		if err := r.resolveGap(ctx, end); err != nil {
			return err
		}
	}
	return nil
}

// missingOrDeletedRun returns the end of the run of sequences that begins at from
// and that the stream does not have. The end is exclusive and at most to.
func (r *reading) missingOrDeletedRun(ctx context.Context, from, to uint64) (uint64, error) {
	removed, err := r.wereDeleted(ctx, from, to)
	if removed || err != nil {
		return to, err
	}
	return r.missingRun(ctx, from, to)
}
