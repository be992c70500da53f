package stream

import (
	"context"
	"slices"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
)

// settle verifies the position, and moves it to where reading can continue. delivered
// is the first sequence that the consumer delivered. settle returns nil if the
// stream is the same; sequences that have left the stream unread are lost. If the
// stream is another or missing, settle moves the position or creates the stream,
// and returns an error: the caller starts over.
func (r *reading) settle(ctx context.Context, delivered uint64, before state) error {
	act, err := r.verify(ctx, r.at, delivered, before)
	if err != nil {
		return err
	}
	switch act.decision {
	case recreate:
		return r.recreate(ctx)
	case rebase:
		if err := r.rebase(ctx, act.found, act.state); err != nil {
			return err
		}
		return doubtf(causeIncarnation, "the stream was %s", act.found)
	}
	if err := r.adopt(ctx, act.state); err != nil {
		return err
	}
	if err := r.checkClaim(ctx); err != nil {
		return err
	}
	if r.otherIncarnation {
		if err := r.startIncarnation(ctx, restored, r.at.Proof, r.at.Sequence(), true, act.state); err != nil {
			return err
		}
		return doubtf(causeIncarnation, "another incarnation was read since the snapshot")
	}
	if act.decision == lose {
		r.lose(act.through, r.truncation())
	}
	return nil
}

// adopt accepts the stream as ours if nothing was ever read. If reports or dead
// letters record places that were assigned before, those belong to an earlier
// incarnation, and this one begins after them.
func (r *reading) adopt(ctx context.Context, st state) error {
	if r.at.Proof.Stream != "" {
		return nil
	}
	switch place, err := r.lastAssignedPlace(ctx, st.origin()-1, false, st); {
	case err != nil:
		return err
	//guard:false "places assigned before the first snapshot are not reused" TestAssignedWithoutSnapshot
	case place > 0:
		if err := r.rebase(ctx, recreated, st); err != nil {
			return err
		}
		return doubtf(causeIncarnation, "places up to %d were assigned before", place)
	}
	to := r.at.On(st.origin() - 1)
	to.Proof = roster.Proof{Stream: r.stream, Created: st.created}
	r.tail.Store(st.last)
	r.setPosition(to)
	return nil
}

// truncation returns the kind of loss if the messages after the position have left
// the stream: at place 0 it is the stream's beginning, later what was not read in
// time.
func (r *reading) truncation() roster.Loss {
	if r.at.Place == 0 {
		return roster.BaselineLost
	}
	return roster.Truncated
}

// recreate creates the stream again after somebody has deleted it.
func (r *reading) recreate(ctx context.Context) error {
	r.log.Error("stream missing, creating it", "stream", r.stream)
	//guard:set r.makeStream(ctx) error(nil) "a missing stream is created" ./internal/test/faults:TestIncarnations/missing_offline
	if err := r.makeStream(ctx); err != nil {
		if ctx.Err() == nil {
			r.log.Error("stream missing, creating it failed", "stream", r.stream, "err", err)
		}
		return err
	}
	return doubtf(causeIncarnation, "the stream was missing")
}

// rebase continues with another incarnation: after the position or the newest
// earlier position whose message the stream has, else from its first message. The
// roster is kept. Places continue after the greatest one ever assigned or known: those
// that were not folded are lost with the old incarnation.
func (r *reading) rebase(ctx context.Context, kind verdict, st state) error {
	failpoint.At("incarnation-detected")
	from, copied, err := r.copiedFrom(ctx, st)
	if err != nil {
		return err
	}
	return r.startIncarnation(ctx, kind, from, max(from.Sequence, st.origin()-1), copied, st)
}

// startIncarnation continues with another incarnation, after one of its sequences.
// If the stream is a copy, from is the proof of the last message that it shares
// with the stream that was read.
func (r *reading) startIncarnation(ctx context.Context, kind verdict, from roster.Proof, after uint64, copied bool, st state) error {
	old := r.at
	place, err := r.lastAssignedPlace(ctx, after, copied, st)
	if err != nil {
		return err
	}
	//guard:set after place "no two messages share a place" ^TestRecreated$
	next := roster.Position{Place: place, Proof: from}.On(after)
	next.Proof.Stream, next.Proof.Created = r.stream, st.created
	//guard:true "refused messages of a new stream are dead-lettered" TestNeverJudged
	//guard:false "nothing is dead-lettered twice" ./internal/test/faults:TestIncarnations/restored_offline$
	if copied { // its messages up to this receipt were judged before
		kind, next.Judged = restored, max(old.Judged, old.Proof.Receipt)
	}
	r.metrics.incarnations.WithLabelValues(string(kind)).Inc()
	r.log.Error("stream was recreated or restored: unread events of the old one are lost",
		"kind", string(kind), "stream", r.stream, "place", old.Place, "seq", old.Sequence(), "at_least", place-old.Place,
		"read_on_after", next.Sequence(), "accept", acceptSetting(place))
	r.tail.Store(next.Sequence()) // the new stream's tail is learned later
	r.target.Store(0)
	r.targetSet, r.removed, r.confirmed, r.otherIncarnation, r.claim = false, nil, state{}, false, AssignedPlace{}
	failpoint.At("incarnation-rebased")
	//guard:drop Unread "the unread end of a replaced stream counts as lost" ./internal/test/faults:TestIncarnations/recreated_offline$
	r.fold(&Batch{End: next, Missing: roster.Recreated, Unread: true})
	r.setPosition(next)
	r.recordDelivery()
	failpoint.At("incarnation-folded")
	return nil
}

// copiedFrom returns the proof of the newest position whose message the stream
// has. If it has one, the stream is a copy of the one that was read, whenever it
// was created.
func (r *reading) copiedFrom(ctx context.Context, st state) (from roster.Proof, found bool, err error) {
	for _, earlier := range slices.Concat([]roster.Position{r.at}, r.earlier()) {
		//guard:false "reading does not resume from a snapshot that was not loaded" TestUnloadableSnapshot
		if earlier.Place > r.at.Place {
			// From a snapshot that could not be loaded: the roster has not read
			// that far.
			continue
		}
		p := earlier.Proof
		//guard:drop "a restored backup is recognized as a copy" ^(TestCopyWithSameMessages|TestOlderCopy)$
		p.Created = st.created
		switch found, err := r.checkProof(ctx, p, st); {
		case err != nil:
			return p, false, err
		//guard:false "reading continues in a restored stream" ./internal/test/faults:TestIncarnations/restored_offline$
		case found == proven:
			return p, true, nil
		}
	}
	return roster.Proof{}, false, nil
}
