package stream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// inventory is the result of one check of a gap: which sequences the stream has.
type inventory struct {
	from, to uint64 // to is exclusive
	state           // of the stream
	removed  []uint64
	messages []Message // those that are there, in order
}

// finding is what a check found for one sequence.
type finding string

const (
	there   finding = "there"
	deleted finding = "deleted"
	before  finding = "before the first"
	absent  finding = "absent" // for no known reason
)

// of returns the finding for a sequence.
func (inv *inventory) of(seq uint64) finding {
	if inv.message(seq) != nil {
		return there
	}
	if seq < inv.first {
		return before
	}
	if _, found := slices.BinarySearch(inv.removed, seq); found {
		return deleted
	}
	return absent
}

func (inv *inventory) message(seq uint64) *Message {
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

// stretch is a run of sequences with the same finding. to is exclusive.
type stretch struct {
	found    finding
	to       uint64
	messages []Message
}

// runsOf decides about a gap. Messages that are there are read at once, and deleted
// ones are given up at once. Any other sequence is given up when two checks in a row
// have the same finding; the first two checks are a second apart. A finding may
// change between checks, since the stream may lose its beginning: so runsOf returns
// the sequences before the first one that is not clear, if there are any.
func runsOf(askings []*inventory) (runs []stretch, again bool, wait time.Duration) {
	now := askings[len(askings)-1]
	earlier := now
	if len(askings) > 1 {
		earlier = askings[len(askings)-2]
	}
	for seq := now.from; seq < now.to; seq++ {
		found := now.of(seq)
		//guard:drop earlier.of "one odd answer makes no gap" ^(TestRunsOf|TestOddReason)$
		sure := found == there || found == deleted || len(askings) > 1 && earlier.of(seq) == found
		if !sure && len(askings) == 1 {
			return nil, true, confirmAfter
		}
		if !sure {
			break
		}
		if len(runs) == 0 || runs[len(runs)-1].found != found {
			runs = append(runs, stretch{found: found})
		}
		last := &runs[len(runs)-1]
		last.to = seq + 1
		if found == there {
			last.messages = append(last.messages, *now.message(seq))
		}
	}
	return runs, len(runs) == 0, 0
}

// maxAbsent is how many missing sequences in a row are requested one by one. After
// that the rest counts as missing, too, except for the last maxAbsent sequences,
// which are requested.
const maxAbsent = 10_000

// inventory requests the messages of a gap, except for those that an earlier check
// found, until it has a batch of them. Sequences behind the end of the stream are
// left out: they are still to come.
func (r *reading) inventory(ctx context.Context, from, to uint64, earlier *inventory) (*inventory, error) {
	st, err := r.source.look(ctx)
	switch {
	case err != nil:
		return nil, err
	case st.created != r.at.Proof.Created || st.last < from:
		return nil, doubtful(causeIncarnation, "the stream is another")
	}
	inv := &inventory{state: st, from: from, to: min(to, st.last+1)}
	if earlier != nil {
		inv.to = min(inv.to, earlier.to)
	}
	if inv.removed, err = r.source.deleted(ctx); err != nil {
		return nil, err
	}
	if err := r.ask(ctx, inv, earlier); err != nil {
		return nil, err
	}
	// If the stream lost its end meanwhile, messages are missing because of that.
	switch now, err := r.source.look(ctx); {
	case err != nil:
		return nil, err
	case now.created != st.created || now.last < st.last:
		return nil, doubtful(causeIncarnation, "the stream has lost its end")
	}
	return inv, nil
}

// ask requests the sequences of an inventory and adds the messages that are there.
func (r *reading) ask(ctx context.Context, inv, earlier *inventory) error {
	missed := 0 // in a row
	for seq := max(inv.from, min(inv.first, inv.to)); seq < inv.to; seq++ {
		if missed == maxAbsent {
			seq = max(seq, inv.to-maxAbsent)
		}
		if inv.of(seq) == deleted {
			continue
		}
		m, err := r.again(ctx, seq, earlier)
		switch {
		case errors.Is(err, errNoMessage):
			missed++
			continue
		case err != nil:
			//guard:set "return err" continue "no answer is not an empty answer" TestUnansweredInventory
			return err
		}
		missed = 0
		if inv.messages = append(inv.messages, m); len(inv.messages) == maxBatch {
			inv.to = seq + 1
		}
	}
	return nil
}

// again returns a message that an earlier check found, or requests it.
func (r *reading) again(ctx context.Context, seq uint64, earlier *inventory) (Message, error) {
	if m := earlier.message(seq); m != nil {
		return *m, nil
	}
	return r.source.get(ctx, seq)
}

// missingRun requests the sequences of [from, to) until one is there. It returns that
// one, or to if there is none.
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
