package stream

import (
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// op is something that happens to the stream, its answers, its consumers, to rollcall
// or to its disk.
type op struct {
	name   string
	weight int
	// harmless ops lose nothing: however many of them run, every message is folded, and
	// no loss or incarnation is reported.
	harmless bool
	do       func(w *world)
	// gentle ops are part of the normal operation of a stream.
	gentle bool
}

func ops() []op {
	all := []op{
		{"publish", 60, true, func(w *world) { w.publish(1 + w.rng.IntN(20)) }, true},
		{"publish many", 6, true, func(w *world) { w.publish(w.maxPublish/2 + w.rng.IntN(w.maxPublish)) }, true},
		{"crash", 6, true, func(w *world) { w.restart(false) }, false},
		{"power failure", 3, true, (*world).failPower, false},
		{"snapshot", 12, true, func(w *world) { w.snapshot() }, true},
		{"report stored", 6, true, underLock((*world).report), true},
		{"damaged snapshot", 3, true, underLock(func(w *world) { w.disk.damage(w) }), false},
		{"old leader answers info", 5, true, underLock(func(w *world) { w.oddInfo = !w.odd() }), false},
		{"old leader answers get", 3, true, underLock(func(w *world) { w.oddGet = !w.odd() }), false},
		{"JetStream outage", 4, true, underLock((*world).startOutage), false},
		{"consumer fault", 12, true, underLock((*world).failConsumer), false},
		{"every consumer stalls", 1, true, underLock(func(w *world) { w.wedged = true }), false},
		{"message hidden from consumers", 3, true, func(w *world) { w.spoil(w.stream.hidden) }, false},
		{"purged up to the position", 3, false, underLock((*world).purgeExactly), false},
		{"restored as it was", 2, true, underLock(func(w *world) { w.restore(w.stream) }), false},
		{"message gone", 3, false, func(w *world) { w.spoil(w.stream.gone) }, false},
		{"message deleted", 5, false, (*world).deleteSome, false},
		{"truncated", 4, false, (*world).truncate, false},
		{"purged", 2, false, underLock(func(w *world) { w.stream.setFirst(w.stream.last + 1); w.removed = time.Now() }), false},
		{"recreated", 3, false, (*world).recreate, false},
		{"copy taken", 6, false, underLock((*world).keepCopy), false},
		{"restored from a copy", 4, false, (*world).restoreCopy, false},
		{"backup restored", 4, false, (*world).restoreBackup, false},
		{"end of the stream lost", 2, false, (*world).loseEnd, false},
		{"stream deleted", 2, false, underLock(func(w *world) { w.replaceStream(nil) }), false},
	}
	return all
}

// underLock returns an op that runs with the lock held.
func underLock(do func(w *world)) func(w *world) {
	return func(w *world) { w.locked(func() { do(w) }) }
}

// odd reports whether an old leader has just answered, or is about to; it
// does so once in a while only.
func (w *world) odd() bool { return w.oddInfo || w.oddGet || time.Since(w.oddAt) < 5*time.Second }

// publish stores events: most valid, some refused.
func (w *world) publish(n int) {
	w.locked(func() {
		if w.stream == nil {
			return
		}
		for range n {
			w.storeOne()
		}
		w.recordState()
	})
}

func (w *world) storeOne() {
	var m *simMessage
	if len(w.sites) > 0 && w.rng.IntN(4) > 0 {
		m = w.sourceOne()
	} else {
		m = w.message()
	}
	w.stream.store(m)
	w.longestSeq = max(w.longestSeq, w.stream.last)
	w.messages[m.receipt] = m
}

// receive returns the next receipt. Receipts are unique.
func (w *world) receive() roster.Time {
	w.lastReceipt = max(w.lastReceipt+1, roster.TimeOf(time.Now()))
	return w.lastReceipt
}

func (w *world) message() *simMessage {
	m := &simMessage{receipt: w.receive(), event: w.event()}
	m.msg = &nats.Msg{Subject: simSubjects.Events()}
	switch w.rng.IntN(20) {
	case 0:
		m.msg.Data, m.refused = []byte("no event"), true
		w.count("refused: malformed")
	case 1:
		m.msg.Subject, m.refused = simSubjects.EventsOf("another"), true
		w.count("refused: identity")
		fallthrough
	case 2:
		m.msg.Header = nats.Header{rollcallv1.HeaderContentType: {"application/json"}}
		fallthrough
	case 3, 4, 5, 6:
		m.msg.Data = wire.AppendJSON(nil, &m.event)
	default:
		m.msg.Data = wire.AppendProtobuf(nil, &m.event)
	}
	return m
}

// event returns an event of one of a few machines, users and sessions, so that they
// collide. Its date is about now; some are whole seconds, so that they tie.
func (w *world) event() roster.Event {
	date := roster.TimeOf(time.Now()) - roster.Time(w.rng.Int64N(int64(2*time.Second)))
	switch w.rng.IntN(30) {
	case 0:
		date = date.Add(10 * w.settings.MaxSkew)
		w.count("refused: future")
	case 1:
		date = date.Add(-2 * w.settings.AllowedLateness)
		w.count("refused: late, or new") // or the machine's first
	case 2, 3, 4, 5, 6, 7, 8:
		date -= date % roster.Time(time.Second)
	}
	types := []roster.Type{roster.Login, roster.Login, roster.Login, roster.Logout, roster.Logout, roster.Present, roster.Boot}
	e := roster.Event{
		Date: date, Type: types[w.rng.IntN(len(types))],
		Machine: w.machine(),
		Session: w.session(0),
	}
	if e.Type == roster.Present {
		for i := range w.rng.IntN(3) {
			e.Sessions = append(e.Sessions, w.session(1+i))
		}
	}
	return e
}

// machine draws a machine: one of a few or, seldom, another one.
func (w *world) machine() string {
	if len(w.sites) > 0 && w.rng.IntN(60) == 0 {
		return fmt.Sprintf("fresh-%d.example.com", w.rng.IntN(40))
	}
	return fmt.Sprintf("host-%d.example.com", w.rng.IntN(4))
}

// session draws a session. Sessions of one "present" have different ids.
func (w *world) session(nth int) roster.Session {
	s := roster.Session{User: string(rune('a' + w.rng.IntN(4)))}
	if w.rng.IntN(2) == 0 || nth > 0 {
		s.ID = fmt.Sprint(3*nth + w.rng.IntN(3))
	}
	return s
}

// restart crashes rollcall and starts it again. After a power failure the disk may lack
// what was not synced.
func (w *world) restart(powerFailure bool) {
	w.crash()
	if powerFailure {
		w.locked(func() { w.disk.losePower(w) })
	}
	w.wait(w.rng.IntN(3))
	w.start()
}

// failPower restarts after a power failure, often while a snapshot is written.
func (w *world) failPower() {
	if w.rng.IntN(2) == 0 {
		w.snapshot()
		<-time.After(time.Duration(w.rng.Int64N(int64(300 * time.Millisecond))))
	}
	w.restart(true)
}

// snapshot begins a snapshot if the position has moved since the last one.
func (w *world) snapshot() {
	s := w.service
	var same bool
	w.locked(func() { same, s.saved = s.at == s.saved, s.at })
	if same {
		return
	}
	w.saving.Go(func() { w.save(s.ctx, s) })
}

// report stores a report of the process's position, and keeps the two before it. It
// does nothing while the process has not detected yet that the stream was replaced.
func (w *world) report() {
	s := w.service
	if s.at.Place == 0 || w.stream == nil || s.incarnation != w.stream.id {
		return
	}
	now := AssignedPlace{Place: s.at.Place, Sequence: s.at.Sequence(), Stored: w.receive()}
	if s.at.Proof.Sequence != s.at.Sequence() {
		return // without a receipt an older copy can't be told apart from the stream
	}
	now.Receipt = s.at.Proof.Receipt
	w.assigned = append([]AssignedPlace{now}, w.assigned[:min(len(w.assigned), 2)]...)
	for _, e := range s.log {
		if e.m != nil {
			w.reported[e.place] = e
		}
	}
}

// startOutage begins an outage: JetStream answers nothing for a while.
func (w *world) startOutage() {
	w.outageUntil = time.Now().Add(time.Duration(w.rng.Int64N(int64(9 * time.Second))))
	w.silent = w.rng.IntN(2) == 0
}

// failConsumer makes the current consumer fail, or a later one.
func (w *world) failConsumer() {
	fault := consumerFault{consumerFaults[w.rng.IntN(len(consumerFaults))], w.rng.IntN(30)}
	d := w.service.delivery
	switch {
	case fault.kind == faultLate || fault.kind == faultCreate || w.rng.IntN(2) == 0 || d == nil:
		w.consumers = append(w.consumers, fault)
	case w.rng.IntN(4) == 0: // while it is idle
		d.dead, d.silent = true, w.rng.IntN(2) == 0
		w.count("consumer deleted")
		d.stream.notify()
	default:
		d.fault = fault
	}
}

// near draws a sequence, mostly one near the position.
func (w *world) near() uint64 {
	l, at := w.stream, w.service.at.Sequence()
	if l.last == 0 {
		return 0
	}
	switch w.rng.IntN(4) {
	case 0:
		return l.last
	case 1:
		return 1 + w.rng.Uint64N(l.last)
	}
	return min(l.last, at+1+w.rng.Uint64N(12))
}

// spoil adds messages to gone or to hidden.
func (w *world) spoil(how map[uint64]bool) {
	w.publish(w.rng.IntN(30))
	w.locked(func() {
		from := w.near()
		for seq := from; seq < from+1+w.rng.Uint64N(4) && seq <= w.stream.last; seq++ {
			if seq > w.service.at.Sequence() {
				how[seq] = true
			}
		}
	})
}

func (w *world) deleteSome() {
	w.publish(w.rng.IntN(30))
	w.locked(func() {
		from := w.near()
		for seq := from; seq < from+1+w.rng.Uint64N(4); seq++ {
			w.stream.remove(seq)
		}
		w.removed = time.Now()
	})
}

// truncate drops messages from the front: up to before, at or after the
// position.
func (w *world) truncate() {
	w.publish(w.rng.IntN(30))
	w.locked(func() {
		l, at := w.stream, w.service.at.Sequence()
		first := min(l.last+1, at+w.rng.Uint64N(20))
		if w.rng.IntN(3) == 0 {
			first = w.rng.Uint64N(first + 1)
		}
		l.setFirst(max(l.first, first))
		w.removed = time.Now()
	})
}

func (w *world) purgeExactly() {
	if at := w.service.at.Sequence(); w.service.incarnation == w.stream.id && at <= w.stream.last {
		w.stream.setFirst(max(w.stream.first, at+1))
		w.removed = time.Now()
		w.count("purged exactly up to the position")
	}
}

// recreate replaces the stream with new ones, which may soon be as long as the last.
func (w *world) recreate() {
	was := w.service.at.Sequence()
	for range 1 + w.rng.IntN(2) {
		w.locked(w.create)
		w.wait(w.rng.IntN(3))
		w.publish(w.rng.IntN(10))
	}
	if w.rng.IntN(2) == 0 {
		w.publish(min(int(was), w.plenty()) + w.rng.IntN(20))
	}
}

// plenty is how many messages are published at most to make one stream as long
// as another.
func (w *world) plenty() int { return 5 * w.maxPublish }

func (w *world) keepCopy() {
	w.copies = append(w.copies, w.stream.copy(0))
	w.copies = w.copies[max(0, len(w.copies)-3):]
}

// restoreCopy restores a copy; messages published then get the sequences of those that
// the copy lacks.
func (w *world) restoreCopy() {
	if len(w.copies) == 0 {
		return
	}
	was := w.service.at.Sequence()
	from := w.copies[w.rng.IntN(len(w.copies))]
	w.locked(func() { w.restore(from) })
	w.forked(from.last, was)
}

// restoreBackup restores a copy as a backup, which gives the stream a new creation
// time.
func (w *world) restoreBackup() {
	if len(w.copies) == 0 {
		return
	}
	was := w.service.at.Sequence()
	from := w.copies[w.rng.IntN(len(w.copies))]
	w.locked(func() { w.restoreRecreated(from) })
	w.forked(from.last, was)
}

// loseEnd drops the last few messages, as a server may that had not written them to
// disk yet.
func (w *world) loseEnd() {
	w.publish(w.rng.IntN(30))
	var was, end uint64
	w.locked(func() {
		was = w.service.at.Sequence()
		end = max(w.stream.first, w.stream.last-min(w.stream.last, w.rng.Uint64N(40))) - 1
		w.cutTo(end)
	})
	w.forked(end, was)
}

// cutTo replaces the stream with a copy that ends at a sequence.
func (w *world) cutTo(end uint64) {
	cut := w.stream.copy(0)
	for seq := end + 1; seq <= cut.last; seq++ {
		delete(cut.messages, seq)
		delete(cut.removed, seq)
		delete(cut.gone, seq)
		delete(cut.hidden, seq)
	}
	cut.history, cut.last = cut.history[:end], end
	cut.sourcedUpTo()
	i, _ := slices.BinarySearch(cut.deleted, end+1)
	cut.deleted = cut.deleted[:i]
	cut.setFirst(min(cut.first, end+1))
	w.restore(cut)
}

// forked publishes after a restore, often beyond the old position.
func (w *world) forked(last, was uint64) {
	w.wait(w.rng.IntN(3))
	switch {
	case w.rng.IntN(3) == 0:
	case was > last:
		n := min(int(was-last), w.plenty()) + w.rng.IntN(10)
		w.publish(n)
		if last+uint64(n) > was {
			w.lockAndCount("forked past the position")
		}
	default:
		w.publish(w.rng.IntN(10))
	}
}
