package stream

import (
	"context"
	"errors"
	"time"

	"rollcall/internal/roster"
)

// confirm calls ask until decide needs no further answer. decide gets all answers
// so far and returns the action, whether to ask again, and how long to wait before
// that. All waiting for a confirmation happens here.
func confirm[Answer, Action any](
	ctx context.Context,
	ask func(context.Context) (Answer, error),
	decide func(answers []Answer) (do Action, retry bool, wait time.Duration),
) (Action, error) {
	var answers []Answer
	for {
		answer, err := ask(ctx)
		if err != nil {
			var zero Action
			return zero, err
		}
		answers = append(answers, answer)
		do, retry, wait := decide(answers)
		if !retry {
			return do, nil
		}
		if wait > 0 && !sleep(ctx, wait) {
			return do, ctx.Err()
		}
	}
}

// verify asks the leader of the stream until it is clear what to do about a
// position. delivered is the first sequence that the consumer delivered, before is
// the state of the stream before the consumer was created. An error means that the
// stream could not be asked, or that its answers contradict each other.
func (r *Reader) verify(ctx context.Context, at roster.Position, delivered uint64, before state) (action, error) {
	q := question{stream: r.stream, at: at, delivered: delivered, created: before.created}
	if at.Proof.Stream == "" || before.created != at.Proof.Created {
		before.last = 0
	}
	act, err := confirm(ctx,
		func(ctx context.Context) (answer, error) {
			q.tail = max(r.tail.Load(), before.last) // read before this answer
			return r.compare(ctx, q)
		},
		func(answers []answer) (action, bool, time.Duration) {
			act := decide(q, answers...)
			return act, act.decision == askAgain, act.wait
		})
	switch {
	case err != nil:
		return act, err
	case act.decision == startOver:
		return act, doubtf(causeIncarnation, "contradictory answers about the stream (%s), retrying", act.found)
	case act.found == same:
		r.raiseTail(act.last)
	}
	return act, nil
}

// compare asks once for the state of the stream and, if it may be the same
// stream, whether it has the message of the position.
func (r *Reader) compare(ctx context.Context, q question) (answer, error) {
	st, err := r.source.info(ctx)
	switch {
	case errors.Is(err, errNoStream):
		return answer{noStream: true}, nil
	case err != nil:
		return answer{}, err
	}
	a := answer{state: st, proof: gone}
	if q.at.Proof.Stream == "" || q.verdict(a) != same {
		return a, nil
	}
	if a.proof, err = r.checkPosition(ctx, q.at, st); err == nil && a.proof != refuted {
		r.raiseTail(st.last) // if the next answer has a lower one, the end was cut off
	}
	return a, err
}

// checkPosition looks up the message of a position. If that is gone, it looks up the
// messages of earlier positions, newest first, until the stream has one.
func (r *Reader) checkPosition(ctx context.Context, at roster.Position, st state) (proof, error) {
	found, err := r.checkProof(ctx, at.Proof, st)
	//guard:true "an earlier message is the proof when the last is gone" TestProofRemoved
	if err != nil || found != gone || at.Proof.Sequence < st.first { // earlier ones are gone too
		return found, err
	}
	for _, earlier := range r.earlier() {
		if earlier.Proof.Created != st.created || earlier.Base != at.Base || earlier.Place > at.Place {
			continue
		}
		switch found, err := r.checkProof(ctx, earlier.Proof, st); {
		case err != nil || found == refuted:
			return found, err
		case found == proven:
			return gone, nil // an earlier message is weaker proof than the position's own
		}
	}
	return gone, nil
}
