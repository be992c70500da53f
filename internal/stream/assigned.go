package stream

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"rollcall/internal/roster"
)

// AssignedPlace is a place that was assigned to a sequence, as recorded in a report
// or a dead letter. Stored is when the server stored that record.
type AssignedPlace struct {
	Place, Sequence uint64
	Stored          roster.Time
	// Receipt is when the message of the sequence was stored; 0: not known.
	Receipt roster.Time
}

// loadAssigned requests, once, the places that were assigned after the position by
// a process that crashed before its next snapshot. Places of the position's own
// incarnation show how far that stream reached. Any others mean that the process
// had begun to read another incarnation.
func (r *reading) loadAssigned(ctx context.Context) error {
	if r.assignedLoaded || r.assignedPlaces == nil || r.at.Proof.Stream == "" {
		return nil
	}
	assigned, err := r.assignedPlaces(ctx)
	if err != nil {
		return fmt.Errorf("reading the places assigned so far: %w", err)
	}
	r.assignedLoaded = true
	r.confirmed = state{created: r.at.Proof.Created}
	for _, g := range assigned {
		r.recordAssigned(g)
	}
	return nil
}

func (r *reading) recordAssigned(g AssignedPlace) {
	switch ours := g.Place == r.at.PlaceOf(g.Sequence); {
	case ours && g.Stored >= r.at.Proof.Created:
		r.confirmed.last = max(r.confirmed.last, g.Sequence)
		if g.Receipt != 0 && g.Place > max(r.at.Place, r.claim.Place) {
			r.claim = g
		}
	case !ours && g.Place > r.at.Place:
		r.otherIncarnation = true
	}
}

// checkClaim compares, once, the message of the greatest loaded place with the one
// that the stream has under its sequence. If they differ, the place was assigned in
// another incarnation, such as a copy, which numbers its messages in the same way.
func (r *reading) checkClaim(ctx context.Context) error {
	claim := r.claim
	if claim.Place == 0 {
		return nil
	}
	m, err := r.getConfirmed(ctx, claim.Sequence)
	if err != nil && !errors.Is(err, errNoMessage) {
		return err
	}
	r.claim = AssignedPlace{}
	r.otherIncarnation = r.otherIncarnation || err == nil && m.Receipt != claim.Receipt
	return nil
}

// lastAssignedPlace returns the last place that counts as assigned before a new
// incarnation, which is read from the sequence after `after` on. It is the greatest
// of: the position's place; the places in reports and dead letters; and the place
// of the last sequence known, which this reader has seen itself or two witnesses
// confirm, unless this stream still has it.
//
// If a process that crashed has read this incarnation already, its messages get the
// same places again, as long as the stream has all of them.
func (r *reading) lastAssignedPlace(ctx context.Context, after uint64, copied bool, st state) (uint64, error) {
	place, tail := r.at.Place, r.tail.Load()
	if r.confirmed.created == r.at.Proof.Created && r.confirmed.last > st.last {
		tail = max(tail, r.confirmed.last)
	}
	kept := copied && after == r.at.Sequence() && st.last >= tail
	if tail > r.at.Sequence() && r.at.Proof.Stream != "" && !kept {
		//guard:drop "messages known but never read are lost" TestUnreadIsLost
		place = r.at.PlaceOf(tail)
	}
	if r.assignedPlaces == nil {
		return place, nil
	}
	assigned, err := r.assignedPlaces(ctx)
	if err != nil {
		return 0, fmt.Errorf("reading the places assigned so far: %w", err)
	}
	var crashed *uint64 // the place after which a crashed process began
	var others []uint64 // the same of processes that read other messages there
	for _, g := range assigned {
		//guard:drop "no reported place is assigned again" TestNoPlaceAssignedTwice
		place = max(place, g.Place)
		began := g.Place - g.Sequence + after
		if crashed != nil || g.Sequence <= after || int64(began) < int64(r.at.Place) || r.at.Proof.Stream != "" && r.at.PlaceOf(g.Sequence) == g.Place {
			continue
		}
		switch found, err := r.assignedIn(ctx, g, st); {
		case err != nil:
			return 0, err
		case found == refuted:
			others = append(others, began)
		//guard:drop others "a stream that diverged after a place that was assigned is not the same" TestAssignedInFork
		case found == proven && !slices.Contains(others, began):
			crashed = &began
		}
	}
	if crashed != nil && place <= *crashed+st.last-after && (r.at.Proof.Stream != "" || *crashed == 0) {
		return *crashed, nil
	}
	return place, nil
}

// assignedIn returns whether a place was assigned to a message of this stream. The
// message's receipt proves or refutes it. Where the receipt is not known, or the message has
// left the stream since, what counts is that the place was reported after the
// stream was created.
func (r *reading) assignedIn(ctx context.Context, g AssignedPlace, st state) (proof, error) {
	if g.Sequence < st.origin() || g.Sequence > st.last {
		return gone, nil
	}
	if g.Receipt == 0 {
		return provenIf(g.Stored >= st.created), nil
	}
	m, err := r.getConfirmed(ctx, g.Sequence)
	switch {
	case errors.Is(err, errNoMessage):
		return provenIf(g.Sequence < st.first && g.Stored >= st.created), nil
	case err != nil:
		return gone, err
	//guard:set g.Receipt 0 "a restored stream's messages keep their places" TestAssignedInCopy
	case m.Receipt == g.Receipt:
		return proven, nil
	}
	return refuted, nil
}

func provenIf(is bool) proof {
	if is {
		return proven
	}
	return gone
}
