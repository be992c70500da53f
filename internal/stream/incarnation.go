package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/internal/roster"
	"rollcall/internal/steps"
)

// settle makes the position one from which reading can go on, by what the
// consumer has delivered first: it returns nil when the stream is the same, and
// what it no longer has before that is lost. When it is another, the position
// moves, or the stream is made; then the caller begins anew.
func (r *reading) settle(ctx context.Context, delivered uint64, before state) error {
	act, err := r.about(ctx, r.at, delivered, before)
	if err != nil {
		return err
	}
	switch act.deed {
	case remake:
		return r.remake(ctx)
	case rebase:
		if err := r.rebase(ctx, act.found, act.state); err != nil {
			return err
		}
		return doubtful(causeIncarnation, "the stream was %s", act.found)
	}
	if err := r.adopt(ctx, act.state); err != nil {
		return err
	}
	if err := r.checkClaim(ctx); err != nil {
		return err
	}
	if r.elsewhere {
		if err := r.begin(ctx, restored, r.at.Proof, r.at.Sequence(), true, act.state); err != nil {
			return err
		}
		return doubtful(causeIncarnation, "the stream was another since")
	}
	if act.deed == lose {
		r.lose(act.through, r.truncation())
	}
	return nil
}

// adopt takes the stream as ours when nothing was ever read. If places were given
// before its first one, it is another than the one that had those.
func (r *reading) adopt(ctx context.Context, st state) error {
	if r.at.Proof.Stream != "" {
		return nil
	}
	switch place, err := r.nextBegins(ctx, st.origin()-1, false, st); {
	case err != nil:
		return err
	case place > 0:
		if err := r.rebase(ctx, recreated, st); err != nil {
			return err
		}
		return doubtful(causeIncarnation, "places up to %d were given before", place)
	}
	to := r.at.On(st.origin() - 1)
	to.Proof = roster.Proof{Stream: r.stream, Created: st.created}
	r.tail.Store(st.last)
	r.move(to)
	return nil
}

// recall finds out, once, what places were given before a crash that no snapshot
// has come so far as. Those of this incarnation tell how much it has had; others
// that it was another one since.
func (r *reading) recall(ctx context.Context) error {
	if r.recalled || r.given == nil || r.at.Proof.Stream == "" {
		return nil
	}
	given, err := r.given(ctx)
	if err != nil {
		return fmt.Errorf("asking for the places that were given: %w", err)
	}
	r.recalled = true
	r.told = state{created: r.at.Proof.Created}
	for _, g := range given {
		switch ours := g.Place == r.at.PlaceOf(g.Sequence); {
		case ours && g.Stored >= r.at.Proof.Created:
			r.told.last = max(r.told.last, g.Sequence)
			if g.Receipt != 0 && g.Place > max(r.at.Place, r.claim.Place) {
				r.claim = g
			}
		case !ours && g.Place > r.at.Place:
			r.elsewhere = true
		}
	}
	return nil
}

// checkClaim looks, once, whether the greatest place that was given after the
// position, as if in this incarnation, was given to the message that is there.
func (r *reading) checkClaim(ctx context.Context) error {
	claim := r.claim
	if claim.Place == 0 {
		return nil
	}
	m, err := r.getSurely(ctx, claim.Sequence)
	if err != nil && !errors.Is(err, errNoMessage) {
		return err
	}
	r.claim = Given{}
	r.elsewhere = r.elsewhere || err == nil && m.Receipt != claim.Receipt
	return nil
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
		if ctx.Err() == nil {
			r.log.Error("the stream is missing and cannot be made", "stream", r.stream, "err", err)
		}
		return err
	}
	return doubtful(causeIncarnation, "the stream was missing")
}

// rebase goes on with another incarnation: after the position, or the newest
// earlier one whose message it has, else from its first message. The roster
// stays. Places go on from the greatest ever given: a place that was given, or
// is known of, and not folded is lost with the old incarnation.
func (r *reading) rebase(ctx context.Context, kind verdict, st state) error {
	steps.At("incarnation-detected")
	from, copied, err := r.copiedFrom(ctx, st)
	if err != nil {
		return err
	}
	return r.begin(ctx, kind, from, max(from.Sequence, st.origin()-1), copied, st)
}

// begin goes on with another incarnation after a sequence, up to which the stream
// is a copy that has the message of a proof, or not a copy.
func (r *reading) begin(ctx context.Context, kind verdict, from roster.Proof, after uint64, copied bool, st state) error {
	old := r.at
	place, err := r.nextBegins(ctx, after, copied, st)
	if err != nil {
		return err
	}
	next := roster.Position{Place: place, Proof: from}.On(after)
	next.Proof.Stream, next.Proof.Created = r.stream, st.created
	if copied { // what it has was judged before
		kind, next.Judged = restored, max(old.Judged, old.Proof.Receipt)
	}
	r.metrics.incarnations.WithLabelValues(string(kind)).Inc()
	r.log.Error("the stream is another incarnation: what its predecessor had after our position is lost",
		"kind", string(kind), "stream", r.stream, "place", old.Place, "seq", old.Sequence(), "at_least", place-old.Place,
		"read_on_after", next.Sequence(), "accept", acceptance(place))
	r.tail.Store(next.Sequence()) // what is true of it will be seen
	r.target.Store(0)
	r.aimed, r.removed, r.told, r.elsewhere, r.claim = false, nil, state{}, false, Given{}
	steps.At("incarnation-rebased")
	r.fold(&Batch{End: next, Missing: roster.Recreated, Unread: true})
	r.move(next)
	r.delivered()
	steps.At("incarnation-folded")
	return nil
}

// copiedFrom returns the proof of the newest position whose message the stream
// has, if it has any: then it is a copy of the one that was read, whenever it
// was created.
func (r *reading) copiedFrom(ctx context.Context, st state) (from roster.Proof, found bool, err error) {
	for _, earlier := range slices.Concat([]roster.Position{r.at}, r.earlier()) {
		if earlier.Place > r.at.Place {
			continue // of a snapshot that could not be loaded: the roster has not read that far
		}
		p := earlier.Proof
		p.Created = st.created
		switch found, err := r.proves(ctx, p, st); {
		case err != nil:
			return p, false, err
		case found == held:
			return p, true, nil
		}
	}
	return roster.Proof{}, false, nil
}

// nextBegins is the place up to which all were given in the old incarnation, where
// reading goes on after a sequence of the new one: the greatest of the position,
// of what reports and dead letters tell, and of the last sequence that was seen, or
// told of by two witnesses, unless the copy that reading goes on with has it. Where
// those tell of the new one, which was read before a crash and has all that they
// tell of, it begins where it did then: so what was read of it gets the same places
// again.
func (r *reading) nextBegins(ctx context.Context, after uint64, copied bool, st state) (uint64, error) {
	place, tail := r.at.Place, r.tail.Load()
	if r.told.created == r.at.Proof.Created && r.told.last > st.last {
		tail = max(tail, r.told.last)
	}
	kept := copied && after == r.at.Sequence() && st.last >= tail
	if tail > r.at.Sequence() && r.at.Proof.Stream != "" && !kept {
		place = r.at.PlaceOf(tail)
	}
	if r.given == nil {
		return place, nil
	}
	given, err := r.given(ctx)
	if err != nil {
		return 0, fmt.Errorf("asking for the places that were given: %w", err)
	}
	var again *uint64 // where it began
	for _, g := range given {
		place = max(place, g.Place)
		began := g.Place - g.Sequence + after
		if again != nil || g.Sequence <= after || int64(began) < int64(r.at.Place) || r.at.Proof.Stream != "" && r.at.PlaceOf(g.Sequence) == g.Place {
			continue
		}
		switch of, err := r.wasGivenIn(ctx, g, st); {
		case err != nil:
			return 0, err
		case of:
			again = &began
		}
	}
	if again != nil && place <= *again+st.last-after && (r.at.Proof.Stream != "" || *again == 0) {
		return *again, nil
	}
	return place, nil
}

// wasGivenIn reports whether a place was given to a message of the stream: that was
// told after the stream was made, or the stream is a copy, and has that message.
func (r *reading) wasGivenIn(ctx context.Context, g Given, st state) (bool, error) {
	if g.Sequence < st.origin() || g.Sequence > st.last {
		return false, nil
	}
	if g.Receipt == 0 {
		return g.Stored >= st.created, nil
	}
	m, err := r.getSurely(ctx, g.Sequence)
	switch {
	case errors.Is(err, errNoMessage):
		return g.Sequence < st.first && g.Stored >= st.created, nil
	case err != nil:
		return false, err
	}
	return m.Receipt == g.Receipt, nil
}
