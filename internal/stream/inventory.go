package stream

import (
	"context"
	"errors"
	"slices"
	"time"
)

// inventory is what the stream has, by one asking, of the sequences of a gap.
type inventory struct {
	from, to uint64 // to is not asked about any more
	state           // of the stream
	removed  []uint64
	messages []Message // those that are there, in order
}

// finding is what becomes of a sequence that is asked for.
type finding string

const (
	there   finding = "there"
	deleted finding = "deleted"
	before  finding = "before the first"
	absent  finding = "absent" // and nothing explains it
)

// of says what was found of a sequence.
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

// stretch is a run of sequences, up to to, of which the same was found.
type stretch struct {
	found    finding
	to       uint64
	messages []Message
}

// runsOf says what to do about a gap: what is there is read, and what was
// deleted is given up, at once. Any other sequence is given up once two askings
// in a row, the first two a second apart, have found the same of it. What was
// found may change meanwhile, as the stream may lose its beginning: so it goes
// on with the sequences before the first one that is not clear.
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

// maxAbsent is how many sequences in a row are asked for one by one: after so
// many that are missing, those before the last so many are taken to be, too.
const maxAbsent = 10_000

// inventory asks for each of the sequences of a gap, but for those that an
// earlier asking has found, up to some that are there. What lies behind the end
// of the stream is still to come.
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
	// What was not there may be behind an end that was cut off meanwhile.
	switch now, err := r.source.look(ctx); {
	case err != nil:
		return nil, err
	case now.created != st.created || now.last < st.last:
		return nil, doubtful(causeIncarnation, "the stream has lost its end")
	}
	return inv, nil
}

// ask fills in the messages that are there.
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

// again returns a message that an earlier asking has found, or asks for it.
func (r *reading) again(ctx context.Context, seq uint64, earlier *inventory) (Message, error) {
	if m := earlier.message(seq); m != nil {
		return *m, nil
	}
	return r.source.get(ctx, seq)
}

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
