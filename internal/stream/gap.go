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
// is in doubt. Then retention explains them, or nothing does: then each is
// asked for once more.
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
	st, err := r.source.look(ctx)
	if err != nil {
		return err
	}
	if want < st.first {
		r.truncate(state{created: st.created, first: min(got, st.first)})
		if want = r.at.Sequence() + 1; want == got {
			return nil
		}
	}
	return r.fetch(ctx, got)
}

// wereDeleted reports whether every sequence of [from, to) was deleted. The
// list of those that were is asked for when the last one doesn't tell: what was
// deleted stays so, and there may be many.
func (r *reading) wereDeleted(ctx context.Context, from, to uint64) (bool, error) {
	if covers(r.removed, from, to) {
		return true, nil
	}
	removed, err := r.source.deleted(ctx)
	if err != nil {
		return false, err
	}
	r.removed = removed
	return covers(r.removed, from, to), nil
}

// covers reports whether every sequence of [from, to) is in the list, which is
// in order.
func covers(list []uint64, from, to uint64) bool {
	i, found := slices.BinarySearch(list, from)
	n := to - from
	return found && uint64(len(list)-i) >= n && list[uint64(i)+n-1] == to-1
}

// maxFetched bounds how many messages of a gap are asked for one by one.
const maxFetched = 10_000

// fetch asks for each message after the position and before got by itself, and
// gives up those that there are not.
func (r *reading) fetch(ctx context.Context, got uint64) error {
	for want := r.at.Sequence() + 1; want < got; want = r.at.Sequence() + uint64(len(r.batch.Messages)) + 1 {
		if got-want > maxFetched {
			r.flush()
			r.lose(got-maxFetched-1, roster.Gap)
			continue
		}
		m, err := r.source.get(ctx, want)
		switch {
		case errors.Is(err, errNoMessage):
			r.flush()
			r.lose(r.absent(ctx, want, got), roster.Gap)
		case err != nil:
			r.flush()
			return err
		default:
			r.log.Warn("the consumer skips a message that the stream has", "stream", r.stream, "seq", want)
			m.Place = r.at.Base + m.Sequence
			r.batch.Messages = append(r.batch.Messages, m)
		}
	}
	r.flush()
	return nil
}

// absent returns the last of the sequences from want on, before got, that the
// stream does not have: so that one run of them is one loss. An error ends the
// run; the next look meets it again.
func (r *reading) absent(ctx context.Context, want, got uint64) uint64 {
	for next := want + 1; next < got; next++ {
		if _, err := r.source.get(ctx, next); !errors.Is(err, errNoMessage) {
			return next - 1
		}
	}
	return got - 1
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

// absentTail decides about the sequences after the position up to the last
// one stored, where a fresh consumer has nothing to deliver.
func (r *reading) absentTail(ctx context.Context, last uint64) error {
	r.suspect = r.at.Sequence() + 1
	return r.gap(ctx, last+1)
}

// acceptance is what an operator sets to accept the losses up to a place.
func acceptance(place uint64) string { return fmt.Sprintf("ROLLCALL_ACCEPT_LOSS=%d", place) }
