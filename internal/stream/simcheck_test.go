package stream

import (
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// settleTime is how long after a change the reader may still act on what was before:
// no decision takes longer, except for the wait before asking again.
const settleTime = 500 * time.Millisecond

// detectWithin is how long the reader may take to detect another incarnation.
const detectWithin = 10 * time.Second

// fold checks a batch against the history of the stream, and folds it into the roster
// as ingest does.
func (s *service) fold(b *Batch) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.ctx.Err() != nil {
		return // the process has crashed
	}
	s.checkCaughtUp()
	switch {
	case b.Unread:
		s.checkUnread(b)
	case len(b.Messages) == 0:
		s.checkLost(b)
	default:
		s.checkMessages(b)
	}
	s.at = b.End
	s.foldRoster(b)
	s.marks = append(s.marks, mark{s.at, s.log[:len(s.log):len(s.log)], s.incarnation, s.unverifiable})
}

func (s *service) foldRoster(from *Batch) {
	b := roster.Batch{End: from.End, Missing: from.Missing, Unread: from.Unread}
	b.Messages = make([]roster.Message, len(from.Messages))
	for i := range from.Messages {
		s.decode(&from.Messages[i], &b.Messages[i])
	}
	s.roster.Fold(&b)
	if st := s.roster.Status(); st.Position != s.at || st.Fates.Sum() != s.at.Place {
		s.w.fail("the roster is at %+v with fates %v, want %+v", st.Position, st.Fates, s.at)
	}
}

func (s *service) decode(m *Message, to *roster.Message) {
	to.Place, to.Receipt = m.Place, m.Receipt
	if was := s.w.messages[m.Receipt]; was != nil {
		to.Source = was.from
	}
	to.Refusal = s.decoder.Decode(m.Subject, m.Header.Get(rollcallv1.HeaderContentType), m.Data, &to.Event)
}

// checkMessages checks that each place follows the last one, and that each message is
// the one that the stream has, or had, under its sequence.
func (s *service) checkMessages(b *Batch) {
	w := s.w
	for i := range b.Messages {
		m := &b.Messages[i]
		place := s.at.Place + uint64(i) + 1
		was := w.messages[m.Receipt]
		switch {
		case m.Place != place || m.Place != b.End.PlaceOf(m.Sequence) || b.End.Base != s.at.Base:
			w.fail("sequence %d has place %d after %d, base %d", m.Sequence, m.Place, place-1, b.End.Base)
		case was == nil || was.seq != m.Sequence || was.msg != m.Msg:
			w.fail("sequence %d is not a message of the stream", m.Sequence)
		default:
			s.checkIncarnation(was, b.End)
			s.checkPlace(was, m.Place, b.End.Proof.Created)
		}
		s.log = append(s.log, entry{place: m.Place, seq: m.Sequence, m: was, judged: b.End.Judged, created: b.End.Proof.Created})
	}
	if last := b.Messages[len(b.Messages)-1]; b.End.Place != last.Place || b.End.Proof.Receipt != last.Receipt || b.End.Proof.Sequence != last.Sequence {
		w.fail("the batch up to sequence %d ends at %+v", last.Sequence, b.End)
	}
	w.logf("folded up to %d in incarnation %d", b.End.Sequence(), s.incarnation)
}

// checkPlace checks that no reported place is assigned to a message of another stream.
// Without the newest snapshot that may happen: only the snapshot has the sequence at
// which reading of that stream began.
func (s *service) checkPlace(m *simMessage, place uint64, created roster.Time) {
	if had, ok := s.w.reported[place]; ok && had.m.receipt != m.receipt && had.created != created && !s.w.disk.damaged {
		s.w.fail("place %d is assigned to sequence %d, but was assigned to sequence %d of another stream", place, m.seq, had.seq)
	}
}

// checkIncarnation checks that a message belongs to the incarnation of the position.
func (s *service) checkIncarnation(m *simMessage, end roster.Position) {
	now := s.w.stream
	s.adoptUndetectable(now)
	in := now != nil && now.stored(m.seq) == m
	switch {
	case s.incarnation == 0 && in && end.Proof.Created == now.created: // a restored backup has them, too
		s.incarnation = now.id
	case s.incarnation == 0:
		s.incarnation = -1
	case now == nil || s.incarnation == now.id && in:
	case s.incarnation == now.id: // in flight when the stream was replaced
		s.incarnation = -1
		s.undetectedSince = time.Now()
	case in && s.canDetect(now) && time.Since(s.w.disturbed) > settleTime:
		s.w.fail("sequence %d of incarnation %d is folded in incarnation %d without verifying the position", m.seq, now.id, s.incarnation)
	}
}

// canDetect reports whether the reader can still detect that the position is not in the
// stream.
func (s *service) canDetect(now *simStream) bool {
	p := s.at.Proof
	return p.Created != now.created || s.at.Sequence() > now.last ||
		now.readable(p.Sequence) != nil && !now.hasProof(p)
}

// adoptUndetectable accepts another incarnation as the reader's if the reader cannot
// detect the difference.
func (s *service) adoptUndetectable(now *simStream) {
	if now != nil && s.incarnation != 0 && s.incarnation != now.id && !s.canDetect(now) {
		s.incarnation, s.undetectedSince, s.unverifiable = now.id, time.Time{}, max(s.unverifiable, s.at.Sequence())
		s.w.count("undetectable incarnation")
	}
}

// checkLost checks that lost sequences were not readable, for the given reason.
func (s *service) checkLost(b *Batch) {
	w, now := s.w, s.w.stream
	from, through := s.at.Sequence()+1, b.End.Sequence()
	of := now // the stream that lacks them: now may be another already
	if d := s.delivery; d != nil && d.stream.created == b.End.Proof.Created {
		of = d.stream
	}
	s.log = append(s.log, entry{place: s.at.Place + 1, seq: from, lost: through - from + 1, why: b.Missing, created: b.End.Proof.Created, receipts: of.receipts(from, through)})
	w.logf("lost %d to %d: %s", from, through, b.Missing)
	w.count("lost: " + b.Missing.String())
	if b.End.Base != s.at.Base || through < from {
		w.fail("lost from %d to %d, base %d after %d", from, through, b.End.Base, s.at.Base)
	}
	if s.incarnation == 0 && now != nil && time.Since(w.disturbed) > confirmAfter+settleTime {
		s.incarnation = now.id
	}
	if s.incarnation == 0 {
		s.incarnation = -1
	}
	s.adoptUndetectable(now)
	s.checkPinned(b.Missing, through)
	s.recordLosing(through)
	if now == nil || s.incarnation != now.id || time.Since(w.changed) <= confirmAfter+settleTime {
		return
	}
	for seq := from; seq <= through; seq++ {
		if now.readable(seq) != nil {
			w.fail("sequence %d is given up (%s), but the stream has it", seq, b.Missing)
			return
		}
		if !s.explains(b.Missing, now, seq) {
			w.fail("sequence %d is given up: %s", seq, b.Missing)
			return
		}
	}
}

// explains reports whether a loss explains why the stream lacks a sequence. What
// was lost for one reason may have been removed for another meanwhile.
func (s *service) explains(why roster.Loss, now *simStream, seq uint64) bool {
	meanwhile := seq < now.first && time.Since(s.w.removed) < 2*(confirmAfter+settleTime)
	meanwhile = meanwhile || now.removed[seq] && time.Since(s.w.removed) < settleTime
	switch why {
	case roster.BaselineLost:
		return seq < now.first && s.at.Place == 0
	case roster.Truncated:
		return seq < now.first && s.at.Place > 0
	case roster.Deleted:
		return now.removed[seq]
	case roster.Gap:
		return now.gone[seq] && !now.removed[seq] || meanwhile
	}
	return false
}

// checkUnread checks that the reader reports another incarnation only if there is one,
// and continues at the right sequence.
func (s *service) checkUnread(b *Batch) {
	w, now := s.w, s.w.stream
	sure := now != nil && time.Since(w.disturbed) > settleTime && time.Since(w.disk.changed) > settleTime && time.Since(w.removed) > settleTime
	old := s.at
	w.logf("another incarnation after place %d, continuing after sequence %d, was incarnation %d", old.Place, b.End.Sequence(), s.incarnation)
	s.log = append(s.log, entry{place: old.Place + 1, lost: b.End.Place - old.Place, why: roster.Recreated, unread: true})
	var judged roster.Time        // 0: another stream was never judged
	if b.End.Proof.Sequence > 0 { // all of a copy was judged before
		judged = max(old.Judged, old.Proof.Receipt)
	}
	most := old.PlaceOf(max(w.longestSeq, old.Sequence()))
	for _, g := range w.assigned {
		most = max(most, g.Place)
	}
	if b.End.Place < old.Place || b.End.Place > most || b.End.Judged != judged {
		w.fail("another incarnation begins at %+v after %+v, at most at %d, judged up to %v", b.End, old, most, judged)
	}
	kind := s.countedKind()
	if s.elsewhere && old.Proof.Stream != "" && b.End.Proof.Sequence == old.Proof.Sequence && b.End.Sequence() == old.Sequence() {
		sure = false // the same incarnation may be reported again because of that
	}
	s.elsewhere = false
	if sure && old.Proof.Stream != "" && kind != kindOf(b.End, old, now) {
		w.fail("the reader reports the stream as %s", kind)
	}
	if sure {
		if s.incarnation == now.id && !s.cut {
			w.fail("another incarnation is reported, but the stream is still incarnation %d", s.incarnation)
		}
		if want := w.wantRewind(now, old); want != b.End.Sequence() {
			w.fail("reading continues after %d, want %d", b.End.Sequence(), want)
		}
	}
	s.pinned = nil
	s.incarnation, s.undetectedSince, s.lastShown, s.lastHeard, s.cut, s.short = -1, time.Time{}, 0, 0, false, false
	s.unverifiable = min(s.unverifiable, b.End.Sequence())
	for _, f := range w.disk.files {
		if f.mark.at.Proof == b.End.Proof && b.End.Proof.Sequence > 0 {
			s.unverifiable = f.mark.unverifiable
		}
	}
	switch {
	case now != nil && now.continues(b.End):
		s.incarnation = now.id
	case now != nil:
		s.undetectedSince = time.Now()
	}
}

// countedKind returns the kind of incarnation that the reader counted last.
func (s *service) countedKind() verdict {
	for _, kind := range incarnations {
		n := testutil.ToFloat64(s.reader.metrics.incarnations.WithLabelValues(string(kind)))
		if n > s.kinds[kind] {
			s.kinds[kind] = n
			return kind
		}
	}
	return same
}

// kindOf returns the kind of incarnation of a stream that does not continue from a
// position.
func kindOf(next, at roster.Position, now *simStream) verdict {
	if at.Proof.Created != now.created && next.Proof.Sequence == 0 {
		return recreated
	}
	return restored
}

// wantRewind returns the sequence of the newest earlier position whose message the
// stream has, or 0.
func (w *world) wantRewind(now *simStream, at roster.Position) uint64 {
	for _, earlier := range append([]roster.Position{at}, w.disk.positions()...) {
		if earlier.Place <= at.Place && now.hasMessage(earlier.Proof) {
			w.count("continues after an earlier position")
			return earlier.Proof.Sequence
		}
	}
	w.count("begins with the first message")
	return 0
}

// checkOverdue fails if another incarnation was not detected in time.
func (w *world) checkOverdue() {
	s := w.service
	if s.undetectedSince.IsZero() || w.stream == nil || s.at.Place == 0 || !s.canDetect(w.stream) {
		return
	}
	since := s.undetectedSince
	for _, t := range []time.Time{s.began, w.disturbed, w.outageUntil} {
		if t.After(since) {
			since = t
		}
	}
	if late := time.Since(since); late > detectWithin {
		w.fail("for %v the reader has not detected incarnation %d", late, w.stream.id)
	}
}
