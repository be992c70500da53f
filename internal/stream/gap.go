package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/internal/roster"
)

// gap decides about the sequences after the position and before got, which a
// consumer has not delivered. If the stream says that they were deleted, so it
// is. Otherwise, until a fresh consumer shows the same, it is the consumer that
// is in doubt. Then each is read, or explained.
func (r *reading) gap(ctx context.Context, got uint64) error {
	want := r.at.Sequence() + 1
	if got < want {
		return doubtful(causeDropped, "sequence %d after %d", got, want-1)
	}
	removed, err := r.wereDeleted(ctx, want, got)
	switch {
	case err != nil:
		return err
	case removed:
		r.lose(got-1, roster.Deleted)
		return nil
	case r.suspect != want:
		r.suspect = want
		return doubtful(causeGap, "sequence %d after %d", got, want-1)
	}
	return r.decide(ctx, got)
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

// decide reads what there is of the sequences after the position and before
// got, and gives up the rest.
func (r *reading) decide(ctx context.Context, got uint64) error {
	for want := r.at.Sequence() + 1; want < got; want = r.at.Sequence() + 1 {
		end, why, err := r.missing(ctx, want, got)
		switch {
		case err != nil:
			return err
		case end == want:
			if err := r.fetch(ctx, got); err != nil {
				return err
			}
			continue
		case why != roster.Deleted:
			if end, err = r.stillMissing(ctx, want, end, why); err != nil {
				return err
			}
		}
		if end > want {
			r.lose(end-1, why)
		}
	}
	return nil
}

// stillMissing asks once more for a run that is missing for a reason, and
// returns its end, which is from when the answers don't agree: an old leader may
// have given one of them, or the stream has lost its beginning just then.
func (r *reading) stillMissing(ctx context.Context, from, to uint64, why roster.Loss) (end uint64, err error) {
	if !sleep(ctx, confirmAfter) {
		return from, ctx.Err()
	}
	end, again, err := r.missing(ctx, from, to)
	if err == nil && again != why {
		end = from
	}
	return end, err
}

// missing returns the end of the run of sequences from one on, and before to,
// that the stream does not have, for one reason, and the reason.
func (r *reading) missing(ctx context.Context, from, to uint64) (end uint64, why roster.Loss, err error) {
	st, err := r.source.look(ctx)
	switch {
	case err != nil:
		return 0, 0, err
	case st.created != r.at.Proof.Created || st.last < from:
		return 0, 0, doubtful(causeIncarnation, "the stream is another")
	case from < st.first:
		return min(to, st.first), r.truncation(), nil
	}
	removed, err := r.source.deleted(ctx)
	if err != nil {
		return 0, 0, err
	}
	if end := runOf(removed, from, to); end > from {
		return end, roster.Deleted, nil
	}
	if i, _ := slices.BinarySearch(removed, from); i < len(removed) {
		to = min(to, removed[i])
	}
	end, err = r.absent(ctx, from, min(to, st.last+1))
	return end, roster.Gap, err
}

// maxAbsent is how many sequences in a row are asked for one by one: after so
// many that are missing, those before the last so many are taken to be, too.
const maxAbsent = 10_000

// absent asks for the sequences from one on, and before to, until there is one.
func (r *reading) absent(ctx context.Context, from, to uint64) (end uint64, err error) {
	for end = from; end < to; end++ {
		if end-from == maxAbsent {
			end = max(end, to-maxAbsent)
		}
		_, err := r.source.get(ctx, end)
		switch {
		case err == nil:
			return end, nil
		case !errors.Is(err, errNoMessage):
			return end, err
		}
	}
	return to, nil
}

// fetch folds messages after the position and before got, up to one that is
// missing. They are of this incarnation only if the stream proves the position
// once they are there.
func (r *reading) fetch(ctx context.Context, got uint64) error {
	from := r.at.Sequence() + 1
	messages := r.batch.Messages
	for want := from; want < min(got, from+maxBatch); want++ {
		m, err := r.source.get(ctx, want)
		if errors.Is(err, errNoMessage) {
			break
		}
		if err != nil {
			return err
		}
		m.Place = r.at.Base + m.Sequence
		messages = append(messages, m)
	}
	held, err := r.holds(ctx)
	switch {
	case err != nil:
		return err
	case !held:
		return doubtful(causeIncarnation, "the stream does not hold the position any more")
	}
	r.log.Warn("the consumer skips what the stream has", "stream", r.stream, "from", from, "count", len(messages))
	r.batch.Messages = messages
	r.flush()
	return nil
}

// lose moves the position to a sequence without folding anything.
func (r *reading) lose(through uint64, why roster.Loss) {
	from := r.at.Sequence() + 1
	end := r.at
	end.Place = end.Base + through
	r.log.Error("events are lost", "reason", why.String(), "stream", r.stream, "from", from, "to", through,
		"count", through-from+1, "accept", acceptance(end.Place))
	r.fold(&Batch{End: end, Missing: why})
	r.move(end)
	r.begun()
}

// undelivered decides about the sequences after the position up to the last
// one stored, if a fresh consumer has nothing to deliver, or those before it
// stood still. About some of them: it may deliver the others.
func (r *reading) undelivered(ctx context.Context, d delivery, last uint64) error {
	want := r.at.Sequence() + 1
	last = min(last, want+maxAbsent)
	switch {
	case last < want || d.pending() > 0 && r.stalled == 0:
		return nil
	case d.pending() > 0 && r.stalled < 3: // nor over a new connection
		// The server delivers nothing in the place of a damaged message, and
		// when it is the last one no other message shows the gap.
		end, err := r.absent(ctx, want, last+1)
		if err != nil || end == want {
			return err // it was the consumer
		}
		last = end - 1
	}
	r.suspect = want
	return r.gap(ctx, last+1)
}

// acceptance is what an operator sets to accept the losses up to a place.
func acceptance(place uint64) string { return fmt.Sprintf("ROLLCALL_ACCEPT_LOSS=%d", place) }
