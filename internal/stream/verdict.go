package stream

import (
	"context"
	"errors"
	"slices"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/steps"
)

// verdict is what the stream is, compared with a position in it.
type verdict string

const (
	same      verdict = "same"
	truncated verdict = "truncated" // the same, but it begins after the position
	recreated verdict = "recreated" // another life of the stream
	restored  verdict = "restored"  // an older copy of the stream
	missing   verdict = "missing"   // no stream of that name
)

// incarnations are the verdicts that make the stream another incarnation.
var incarnations = []verdict{recreated, restored}

// judge compares the stream with a position. An error means that the stream
// could not be asked, which is no verdict.
func (r *Reader) judge(ctx context.Context, at roster.Position) (verdict, state, error) {
	tail := r.tail.Load() // a last sequence below it: the end was cut off
	st, err := r.source.look(ctx)
	switch {
	case errors.Is(err, errNoStream):
		return missing, st, nil
	case err != nil:
		return "", st, err
	}
	if at.Proof.Stream == "" { // nothing was ever read
		return r.ours(at, st), st, nil
	}
	if at.Proof.Stream != r.stream || at.Proof.Created != st.created {
		return recreated, st, nil
	}
	if max(at.Sequence(), tail) > st.last {
		return restored, st, nil
	}
	same, known, err := r.anyProves(ctx, at, st)
	switch {
	case err != nil:
		return "", st, err
	case known && !same:
		return restored, st, nil
	case !known:
		if err := r.lookAgain(ctx, st); err != nil {
			return "", st, err
		}
	}
	return r.ours(at, st), st, nil
}

// lookAgain reports a doubt when a second look doesn't bear out the first:
// where no message proves anything, one answer alone would decide.
func (r *Reader) lookAgain(ctx context.Context, st state) error {
	again, err := r.source.look(ctx)
	switch {
	case err != nil:
		return err
	case again.created != st.created || again.last < st.last:
		return doubtful(causeIncarnation, "the stream was another: asking once more")
	}
	return nil
}

// anyProves looks at the position's own proof and, where the stream no longer
// tells, at those of earlier positions.
func (r *Reader) anyProves(ctx context.Context, at roster.Position, st state) (same, known bool, err error) {
	same, known, err = r.proves(ctx, at.Proof, st)
	if known || err != nil || at.Proof.Sequence < st.first {
		return same, known, err // earlier messages have left the stream too
	}
	// One answer alone has told that the stream goes as far as the position.
	if err := r.lookAgain(ctx, st); err != nil {
		return false, false, err
	}
	for _, earlier := range r.earlier() {
		if earlier.Proof.Created != st.created || earlier.Base != at.Base || earlier.Place > at.Place {
			continue
		}
		if same, known, err = r.proves(ctx, earlier.Proof, st); known || err != nil {
			return same, known, err
		}
	}
	return false, false, nil
}

// ours is the verdict on the incarnation that the position is in. Only that one
// has messages that are to be read after the position.
func (r *Reader) ours(at roster.Position, st state) verdict {
	r.sawTail(st.last)
	if st.first > at.Sequence()+1 {
		return truncated
	}
	return same
}

// confirmAfter is when a verdict is asked for once more: an old leader may
// still have answered the first time.
const confirmAfter = time.Second

// settle makes the position one from which reading can go on: it returns nil
// when the stream is the same. When it is not, and is not so once more, the
// position moves or the stream is made; then the caller begins anew.
func (r *reading) settle(ctx context.Context) error {
	first, was, err := r.judge(ctx, r.at)
	if err != nil {
		return err
	}
	if first == same {
		return r.adopt(ctx, was)
	}
	if !sleep(ctx, confirmAfter) {
		return ctx.Err()
	}
	again, st, err := r.judge(ctx, r.at)
	switch {
	case err != nil:
		return err
	case again != first || st.created != was.created:
		return doubtful(causeIncarnation, "the stream was %s and is now %s: asking once more", first, again)
	}
	switch again {
	case truncated:
		st.first = min(st.first, was.first)
		r.truncate(st)
	case missing:
		return r.remake(ctx)
	default:
		if err := r.rebase(ctx, again, st); err != nil {
			return err
		}
	}
	return doubtful(causeIncarnation, "the stream was %s", again)
}

// adopt takes the stream as ours when nothing was ever read.
func (r *reading) adopt(ctx context.Context, st state) error {
	if r.at.Proof.Stream != "" {
		return nil
	}
	if err := r.lookAgain(ctx, st); err != nil {
		return err
	}
	r.own(st)
	return nil
}

// own makes the stream that of a position at which nothing was read yet.
func (r *reading) own(st state) {
	to := r.at
	to.Proof = roster.Proof{Stream: r.stream, Created: st.created}
	r.tail.Store(st.last)
	r.move(to)
}

// truncate gives up what the stream no longer has after the position.
func (r *reading) truncate(st state) {
	if r.at.Proof.Stream == "" {
		r.own(st)
	}
	r.lose(st.first-1, r.truncation())
}

// truncation is what it is to have lost what comes after the position: the
// beginning of all, or what was not read in time.
func (r *reading) truncation() roster.Loss {
	if r.at.Place == 0 {
		return roster.BaselineLost
	}
	return roster.Truncated
}

// remake makes the stream that somebody has deleted.
func (r *reading) remake(ctx context.Context) error {
	r.log.Error("the stream is missing: making it", "stream", r.stream)
	if err := r.makeStream(ctx); err != nil {
		return err
	}
	return doubtful(causeIncarnation, "the stream was missing")
}

// rebase goes on with another incarnation: after the position, or the newest
// earlier one that it proves, else from its first message. The roster stays; places go on
// from the greatest ever given; messages received no later than the position
// was were judged before.
func (r *reading) rebase(ctx context.Context, kind verdict, st state) error {
	steps.At("incarnation-detected")
	from := roster.Proof{Stream: r.stream, Created: st.created}
	old := r.at
	for _, earlier := range slices.Concat([]roster.Position{old}, r.earlier()) {
		if earlier.Place > old.Place {
			continue // of a snapshot that could not be loaded: the roster has not read that far
		}
		same, _, err := r.proves(ctx, earlier.Proof, st)
		if err != nil {
			return err
		}
		if same {
			from = earlier.Proof
			break
		}
	}
	next := roster.Position{
		Place:  old.Place,
		Base:   old.Place - from.Sequence,
		Proof:  from,
		Judged: max(old.Judged, old.Proof.Receipt),
	}
	var unread uint64
	if tail := r.tail.Load(); tail > old.Sequence() {
		unread = tail - old.Sequence()
	}
	r.metrics.incarnations.WithLabelValues(string(kind)).Inc()
	r.log.Error("the stream is another incarnation: what its predecessor had after our position is lost",
		"kind", string(kind), "stream", r.stream, "place", old.Place, "seq", old.Sequence(), "at_least", unread,
		"read_on_after", from.Sequence, "accept", acceptance(old.Place))
	r.tail.Store(from.Sequence) // what is true of it will be seen
	r.target.Store(0)
	r.removed, r.suspect = nil, 0
	steps.At("incarnation-rebased")
	r.fold(&Batch{End: next, Unread: true})
	r.move(next)
	steps.At("incarnation-folded")
	return nil
}
