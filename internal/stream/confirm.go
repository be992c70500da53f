package stream

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/roster"
)

// confirm asks until the answers decide: decide says what to do, and how long
// to wait before it is asked again, if it is to be. Whoever has to be sure of
// anything waits here.
func confirm[Answer, Action any](
	ctx context.Context,
	ask func(context.Context) (Answer, error),
	decide func(answers []Answer) (do Action, again bool, wait time.Duration),
) (Action, error) {
	var answers []Answer
	for {
		answer, err := ask(ctx)
		if err != nil {
			var none Action
			return none, err
		}
		answers = append(answers, answer)
		do, again, wait := decide(answers)
		if !again {
			return do, nil
		}
		if wait > 0 && !sleep(ctx, wait) {
			return do, ctx.Err()
		}
	}
}

// about asks the leader of the stream until it is clear what to do about a
// position, of which the consumer has delivered a sequence first, in a stream
// that has told before the consumer was made how it stands. An error means that
// the stream could not be asked, or that its answers contradict each other.
func (r *Reader) about(ctx context.Context, at roster.Position, delivered uint64, before state) (action, error) {
	q := question{stream: r.stream, at: at, delivered: delivered, created: before.created}
	if at.Proof.Stream == "" || before.created != at.Proof.Created {
		before.last = 0
	}
	act, err := confirm(ctx,
		func(ctx context.Context) (answer, error) {
			q.tail = max(r.tail.Load(), before.last) // of before the answer
			return r.compare(ctx, q)
		},
		func(answers []answer) (action, bool, time.Duration) {
			act := decide(q, answers...)
			return act, act.deed == askAgain, act.wait
		})
	switch {
	case err != nil:
		return act, err
	case act.deed == doubts:
		return act, doubtful(causeIncarnation, "the stream was told to be one and another (%s): asking once more", act.found)
	case act.found == same:
		r.sawTail(act.last)
	}
	return act, nil
}

// compare asks once how the stream stands and what it has of a position.
func (r *Reader) compare(ctx context.Context, q question) (answer, error) {
	st, err := r.source.look(ctx)
	switch {
	case errors.Is(err, errNoStream):
		return answer{missing: true}, nil
	case err != nil:
		return answer{}, err
	}
	a := answer{state: st, proof: gone}
	if q.at.Proof.Stream == "" || q.verdict(a) != same {
		return a, nil
	}
	if a.proof, err = r.proofOf(ctx, q.at, st); err == nil && a.proof != refuted {
		r.sawTail(st.last) // if the next answer tells of less, the end was cut off
	}
	return a, err
}

// proofOf asks for the message of a position and, where that is gone, for that
// of the newest earlier position which is still there.
func (r *Reader) proofOf(ctx context.Context, at roster.Position, st state) (proof, error) {
	found, err := r.proves(ctx, at.Proof, st)
	//guard:true "an earlier message proves when the last is gone" TestProofRemoved
	if err != nil || found != gone || at.Proof.Sequence < st.first { // then earlier ones have left the stream, too
		return found, err
	}
	for _, earlier := range r.earlier() {
		if earlier.Proof.Created != st.created || earlier.Base != at.Base || earlier.Place > at.Place {
			continue
		}
		switch found, err := r.proves(ctx, earlier.Proof, st); {
		case err != nil || found == refuted:
			return found, err
		case found == held:
			return gone, nil // an earlier message proves less than the position's own
		}
	}
	return gone, nil
}
