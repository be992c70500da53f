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
// could not be asked, or that its answers contradict each other, which is no
// verdict. That the stream is the same is said for good: unless the message of the
// position proves it, one old leader might have said so, and it is judged twice.
// Any other verdict is for the caller to confirm.
func (r *Reader) judge(ctx context.Context, at roster.Position) (verdict, state, error) {
	first, was, proven, err := r.compare(ctx, at)
	if err != nil || first != same && first != truncated {
		return first, was, err
	}
	if first == same && !proven {
		again, st, _, err := r.compare(ctx, at)
		if err != nil {
			return "", st, err
		}
		if again != first || st.created != was.created {
			return "", st, contradiction(first, again)
		}
		was = st
	}
	r.sawTail(was.last)
	return first, was, nil
}

// contradiction is the doubt between two answers about the stream.
func contradiction(was, is verdict) error {
	if was == is {
		return doubtful(causeIncarnation, "the stream was %s twice, but not the same one: asking once more", is)
	}
	return doubtful(causeIncarnation, "the stream was %s and is now %s: asking once more", was, is)
}

// compare compares the stream, as it tells of itself once, with a position.
// proven says that the message of the position has decided.
func (r *Reader) compare(ctx context.Context, at roster.Position) (v verdict, st state, proven bool, err error) {
	tail := r.tail.Load() // a last sequence below it: the end was cut off
	st, err = r.source.look(ctx)
	switch {
	case errors.Is(err, errNoStream):
		return missing, st, false, nil
	case err != nil:
		return "", st, false, err
	}
	if at.Proof.Stream == "" { // nothing was ever read
		return begins(at, st), st, false, nil
	}
	if at.Proof.Stream != r.stream || at.Proof.Created != st.created {
		return recreated, st, false, nil
	}
	if max(at.Sequence(), tail) > st.last {
		return restored, st, false, nil
	}
	held, known, err := r.proves(ctx, at.Proof, st)
	proven = known
	if err == nil && !known && at.Proof.Sequence >= st.first { // else earlier messages have left it, too
		held, known, err = r.earlierProves(ctx, at, st)
	}
	switch {
	case err != nil:
		return "", st, false, err
	case known && !held:
		return restored, st, proven, nil
	}
	return begins(at, st), st, proven, nil
}

// earlierProves looks at the newest earlier position of this incarnation whose
// message the stream still has.
func (r *Reader) earlierProves(ctx context.Context, at roster.Position, st state) (held, known bool, err error) {
	for _, earlier := range r.earlier() {
		if earlier.Proof.Created != st.created || earlier.Base != at.Base || earlier.Place > at.Place {
			continue
		}
		if held, known, err = r.proves(ctx, earlier.Proof, st); known || err != nil {
			return held, known, err
		}
	}
	return false, false, nil
}

// begins is the verdict on the incarnation that the position is in: whether it
// still has what comes after the position.
func begins(at roster.Position, st state) verdict {
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
		r.adopt(was)
		return nil
	}
	if !sleep(ctx, confirmAfter) {
		return ctx.Err()
	}
	again, st, err := r.judge(ctx, r.at)
	switch {
	case err != nil:
		return err
	case again != first || st.created != was.created:
		return contradiction(first, again)
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
func (r *reading) adopt(st state) {
	if r.at.Proof.Stream == "" {
		r.own(st)
	}
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
	r.adopt(st)
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
