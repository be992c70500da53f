package stream

import (
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/roster"
)

// simMessage is one message of the simulated stream. Its receipt is unique.
type simMessage struct {
	msg     *nats.Msg
	seq     uint64
	receipt roster.Time
	event   roster.Event // its content
	refused bool         // whatever its content
	// from, life and at say which message of a site it is: of none if life is nil.
	from roster.Sourced
	life *simLife
	at   int
}

// simStream is one incarnation of the simulated stream.
type simStream struct {
	id          int
	created     roster.Time
	lineage     []roster.Time // when it and the streams that it is a copy of were created
	first, last uint64
	messages    map[uint64]*simMessage
	history     []*simMessage    // every message ever stored, by sequence - 1
	deleted     []uint64         // one by one, in order
	removed     map[uint64]bool  // those that were ever deleted one by one
	hidden      map[uint64]bool  // no consumer delivers them
	gone        map[uint64]bool  // damaged: no request returns them
	taken       map[*simLife]int // how many messages of each site it has sourced
	changed     chan struct{}    // closed at every change
	replaced    bool             // another stream has replaced it, or none
}

func newSimStream(id int, created roster.Time) *simStream {
	return &simStream{
		id: id, created: created, lineage: []roster.Time{created}, first: 1, changed: make(chan struct{}),
		messages: map[uint64]*simMessage{}, removed: map[uint64]bool{}, hidden: map[uint64]bool{}, gone: map[uint64]bool{}, taken: map[*simLife]int{},
	}
}

// copy returns a copy of the stream.
func (l *simStream) copy(id int) *simStream {
	return &simStream{
		id: id, created: l.created, lineage: l.lineage, first: l.first, last: l.last, changed: make(chan struct{}),
		messages: maps.Clone(l.messages), history: slices.Clone(l.history), deleted: slices.Clone(l.deleted),
		removed: maps.Clone(l.removed), hidden: maps.Clone(l.hidden), gone: maps.Clone(l.gone), taken: maps.Clone(l.taken),
	}
}

func (l *simStream) notify() {
	close(l.changed)
	l.changed = make(chan struct{})
}

func (l *simStream) state() state { return state{created: l.created, first: l.first, last: l.last} }

func (l *simStream) store(m *simMessage) {
	l.last++
	m.seq = l.last
	l.messages[l.last] = m
	l.history = append(l.history, m)
	l.notify()
}

// stored returns what was ever stored under a sequence, or nil.
func (l *simStream) stored(seq uint64) *simMessage {
	if seq == 0 || seq > l.last {
		return nil
	}
	return l.history[seq-1]
}

// receipts returns the receipts of the messages from one sequence through another.
func (l *simStream) receipts(from, through uint64) (receipts []roster.Time) {
	for seq := from; l != nil && seq <= through; seq++ {
		if m := l.stored(seq); m != nil {
			receipts = append(receipts, m.receipt)
		}
	}
	return receipts
}

// readable returns the message that a get request returns, or nil.
func (l *simStream) readable(seq uint64) *simMessage {
	if l.gone[seq] {
		return nil
	}
	return l.messages[seq]
}

// delivers reports whether consumers deliver a sequence.
func (l *simStream) delivers(seq uint64) bool {
	return l.readable(seq) != nil && !l.hidden[seq]
}

func (l *simStream) remove(seq uint64) {
	if l.messages[seq] == nil {
		return
	}
	delete(l.messages, seq)
	l.removed[seq] = true
	i, _ := slices.BinarySearch(l.deleted, seq)
	l.deleted = slices.Insert(l.deleted, i, seq)
	l.setFirst(l.first)
}

// setFirst removes the messages before first.
func (l *simStream) setFirst(first uint64) {
	for seq := l.first; seq < first; seq++ {
		delete(l.messages, seq)
	}
	for l.first = first; l.first <= l.last && l.messages[l.first] == nil; l.first++ {
	}
	i, _ := slices.BinarySearch(l.deleted, l.first)
	l.deleted = l.deleted[i:]
}

// continues reports whether the stream continues from a position: it has, or had, every
// message up to there.
func (l *simStream) continues(at roster.Position) bool {
	switch {
	case at.Proof.Stream == "":
		return true
	case at.Proof.Created != l.created || at.Sequence() > l.last:
		return false
	}
	return at.Proof.Sequence == 0 || l.stored(at.Proof.Sequence).receipt == at.Proof.Receipt
}

// hasProof reports whether the stream still has the message of a proof.
func (l *simStream) hasProof(p roster.Proof) bool {
	if p.Created != l.created || p.Sequence == 0 || p.Sequence > l.last {
		return false
	}
	return l.hasMessage(p)
}

// hasMessage reports whether the stream has the message of a proof, whenever it was
// created.
func (l *simStream) hasMessage(p roster.Proof) bool {
	m := l.readable(p.Sequence)
	return m != nil && m.receipt == p.Receipt
}

// replaceStream replaces the stream with another one, or none. Its readers get no
// status.
func (w *world) replaceStream(next *simStream) {
	old := w.stream
	w.stream, w.changed, w.disturbed = next, time.Now(), time.Now()
	if old != nil {
		old.replaced = true
		old.notify()
	}
	if next != nil {
		w.recordState()
		w.service.streamReplaced(next)
	}
}

func (w *world) create() {
	w.incarnations++
	w.replaceStream(newSimStream(w.incarnations, roster.TimeOf(time.Now())))
}

// restore replaces the stream with an earlier copy.
func (w *world) restore(from *simStream) {
	w.incarnations++
	w.replaceStream(from.copy(w.incarnations))
}

// restoreRecreated restores a copy as a backup is restored: with the same messages
// and a new creation time.
func (w *world) restoreRecreated(from *simStream) {
	w.incarnations++
	next := from.copy(w.incarnations)
	next.created = roster.TimeOf(time.Now())
	next.lineage = append(slices.Clone(next.lineage), next.created)
	w.replaceStream(next)
}

// recordState keeps the state of the stream, for an old leader to answer with.
func (w *world) recordState() {
	if w.stream != nil {
		w.states = append(w.states, pastState{time.Now(), w.stream.state()})
	}
}

type pastState struct {
	when time.Time
	state
}

// staleState returns the state that a leader of up to half a minute ago reports.
func (w *world) staleState(draw uint64) (state, bool) {
	i := len(w.states)
	for i > 0 && time.Since(w.states[i-1].when) < 30*time.Second {
		i--
	}
	if i == len(w.states) {
		return state{}, false
	}
	return w.states[i+int(draw%uint64(len(w.states)-i))].state, true
}
