package stream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// gapCheck is the result of one check of a gap: which sequences the stream has.
type gapCheck struct {
	from, to uint64 // to is exclusive
	state           // of the stream
	removed  []uint64
	messages []Message // those that the stream has, in order
}

// finding is what a check found for one sequence.
type finding string

const (
	present     finding = "present"
	deleted     finding = "deleted"
	beforeFirst finding = "before the first"
	absent      finding = "absent" // for no known reason
)

// findingOf returns the finding for a sequence.
func (inv *gapCheck) findingOf(seq uint64) finding {
	if inv.message(seq) != nil {
		return present
	}
	if seq < inv.first {
		return beforeFirst
	}
	if _, found := slices.BinarySearch(inv.removed, seq); found {
		return deleted
	}
	return absent
}

func (inv *gapCheck) message(seq uint64) *Message {
	if inv == nil {
		return nil
	}
	i, found := slices.BinarySearchFunc(inv.messages, seq, func(m Message, seq uint64) int {
		return int(int64(m.Sequence - seq))
	})
	if !found {
		return nil
	}
	return &inv.messages[i]
}

// seqRun is a run of sequences with the same finding. to is exclusive.
type seqRun struct {
	found    finding
	to       uint64
	messages []Message
}

// decideGap decides about a gap. Messages that the stream has are read at once, and
// deleted ones are given up at once. Any other sequence is given up when two checks
// in a row have the same finding; the first two checks are a second apart. A
// finding may change between checks, since the stream may lose its beginning: so
// decideGap returns the sequences before the first one that is not clear, if there are
// any.
func decideGap(checks []*gapCheck) (runs []seqRun, retry bool, wait time.Duration) {
	now := checks[len(checks)-1]
	earlier := now
	if len(checks) > 1 {
		earlier = checks[len(checks)-2]
	}
	for seq := now.from; seq < now.to; seq++ {
		found := now.findingOf(seq)
		//guard:drop earlier.findingOf "one odd answer does not make a gap" ^(TestDecideGap|TestOddReason)$
		sure := found == present || found == deleted || len(checks) > 1 && earlier.findingOf(seq) == found
		if !sure && len(checks) == 1 {
			return nil, true, confirmAfter
		}
		if !sure {
			break
		}
		if len(runs) == 0 || runs[len(runs)-1].found != found {
			runs = append(runs, seqRun{found: found})
		}
		last := &runs[len(runs)-1]
		last.to = seq + 1
		if found == present {
			last.messages = append(last.messages, *now.message(seq))
		}
	}
	return runs, len(runs) == 0, 0
}

// maxAbsent is how many missing sequences in a row are requested one by one. After
// that the rest counts as missing, too, except for the last maxAbsent sequences,
// which are requested.
const maxAbsent = 10_000

// checkGap requests the messages of a gap, except for those that an earlier check
// found, until it has a batch of them. Sequences behind the end of the stream are
// left out: they are still to come.
func (r *reading) checkGap(ctx context.Context, from, to uint64, earlier *gapCheck) (*gapCheck, error) {
	st, err := r.source.info(ctx)
	switch {
	case err != nil:
		return nil, err
	case st.created != r.at.Proof.Created || st.last < from:
		return nil, doubtf(causeIncarnation, "the stream was replaced")
	}
	inv := &gapCheck{state: st, from: from, to: min(to, st.last+1)}
	if earlier != nil {
		inv.to = min(inv.to, earlier.to)
	}
	if inv.removed, err = r.source.deleted(ctx); err != nil {
		return nil, err
	}
	if err := r.requestMessages(ctx, inv, earlier); err != nil {
		return nil, err
	}
	// If the stream lost its end meanwhile, messages are missing because of that.
	switch now, err := r.source.info(ctx); {
	case err != nil:
		return nil, err
	case now.created != st.created || now.last < st.last:
		return nil, doubtf(causeIncarnation, "the stream lost its end")
	}
	return inv, nil
}

// requestMessages requests the sequences of a gap and adds the messages that the
// stream has.
func (r *reading) requestMessages(ctx context.Context, inv, earlier *gapCheck) error {
	missed := 0 // in a row
	for seq := max(inv.from, min(inv.first, inv.to)); seq < inv.to; seq++ {
		if missed == maxAbsent {
			seq = max(seq, inv.to-maxAbsent)
		}
		if inv.findingOf(seq) == deleted {
			continue
		}
		m, err := r.cachedOrGet(ctx, seq, earlier)
		switch {
		case errors.Is(err, errNoMessage):
			missed++
			continue
		case err != nil:
			//guard:set "return err" continue "an unanswered request does not make a message missing" TestUnansweredGapCheck
			return err
		}
		missed = 0
		if inv.messages = append(inv.messages, m); len(inv.messages) == maxBatch {
			inv.to = seq + 1
		}
	}
	return nil
}

// cachedOrGet returns a message that an earlier check found, or requests it.
func (r *reading) cachedOrGet(ctx context.Context, seq uint64, earlier *gapCheck) (Message, error) {
	if m := earlier.message(seq); m != nil {
		return *m, nil
	}
	return r.source.get(ctx, seq)
}

// missingRun requests the sequences of [from, to) until the stream has one. It
// returns that one, or to if there is none.
func (r *reading) missingRun(ctx context.Context, from, to uint64) (end uint64, err error) {
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
