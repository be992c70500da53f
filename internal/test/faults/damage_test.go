package faults

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

var damage = []scenario{
	{"bit flipped offline", flippedOffline},
	{"bits flipped behind a cut link", flippedRunning},
	{"bit flipped in the last message", flippedLast},
	{"bit flipped in the position's message", flippedProof},
	{"bit flipped, and the server counts anew", flippedCounted},
	{"bit flipped, and the end not read yet", flippedBehind},
}

// TestDamage: a message of which a bit has changed on the server's disk is
// lost, that one alone, and rollcall says so; and when the server itself lets go
// of all that came after it, rollcall notices that too.
func TestDamage(t *testing.T) {
	t.Parallel()
	play(t, damage)
}

// flip flips a bit of each of these events as the server has stored them, in
// the file of their block; the server is stopped for it.
func (w *world) flip(events ...*entry) {
	w.t.Helper()
	w.Stop()
	defer w.Start()
	for _, e := range events {
		w.flipOne(e)
	}
}

func (w *world) flipOne(e *entry) {
	w.t.Helper()
	blocks, err := filepath.Glob(filepath.Join(w.files(), "msgs", "*.blk"))
	if err != nil {
		w.t.Fatal(err)
	}
	for _, block := range blocks {
		data, err := os.ReadFile(block)
		if err != nil {
			w.t.Fatal(err)
		}
		if i := bytes.Index(data, fmt.Appendf(nil, "number %06d.", e.number)); i >= 0 {
			data[i] ^= 1
			if err := os.WriteFile(block, data, 0o600); err != nil {
				w.t.Fatal(err)
			}
			return
		}
	}
	w.t.Fatalf("event %d is in none of %v", e.number, blocks)
}

func flippedOffline(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.stop()
	unread := w.publish(20)
	w.flip(unread[10])
	w.lose(unread[10:11])
	w.start()
	w.wants("gap")
	line := w.log.await(lost, 1)
	says(w.t, line, map[string]any{"reason": "gap", "from": 41, "to": 41, "count": 1})
	w.fates(roster.Lost, 1)
	w.accepts(line)
	w.wants()
}

func flippedRunning(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.link.cut()
	unread := w.publish(20)
	w.flip(unread[10], unread[11], unread[15])
	w.lose([]*entry{unread[10], unread[11], unread[15]})
	w.link.heal()
	w.log.await(lost, 2)
	says(w.t, w.log.find(lost)[0], map[string]any{"reason": "gap", "from": 41, "to": 42, "count": 2})
	says(w.t, w.log.find(lost)[1], map[string]any{"reason": "gap", "from": 46, "to": 46, "count": 1})
	w.wants("gap")
	w.settles()
}

// flippedLast: there is no message after it that would show the gap.
func flippedLast(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.stop()
	unread := w.publish(20)
	w.flip(unread[19])
	w.lose(unread[19:])
	w.start()
	w.wants("gap")
	says(w.t, w.log.await(lost, 1), map[string]any{"reason": "gap", "from": 50, "to": 50})
	w.settles()
}

// flippedProof: the message at the position can't be compared any more, and
// is not needed any more either.
func flippedProof(w *world) {
	w.start()
	read := w.publish(30)
	w.wants()
	w.stop()
	w.flip(read[29])
	w.start()
	w.publish(20)
	w.wants()
	w.fates(roster.Lost, 0)
}

// recount flips a bit of an event, and lets the server count what it has, as
// one does that was killed: without a word it lets go of all from a damaged
// message on, and gives their numbers again.
func (w *world) recount(e *entry) {
	w.t.Helper()
	w.Stop()
	w.flipOne(e)
	if err := os.Remove(filepath.Join(w.files(), "msgs", "index.db")); err != nil {
		w.t.Fatal(err)
	}
	w.Start()
	if last := w.stream().CachedInfo().State.LastSeq; last != e.seq-1 {
		w.t.Fatalf("the server has %d messages", last)
	}
}

func flippedCounted(w *world) {
	w.start()
	read := w.publish(30)
	w.wants()
	w.stop()
	w.recount(read[20])
	w.rejudged = 4 // of the first 20: nothing tells that they were judged before
	w.publish(20)
	w.start()
	w.wants("recreated")
	line := w.log.await(another, 1)
	says(w.t, line, map[string]any{"kind": "restored", "place": 30, "seq": 30, "read_on_after": 0})
	w.accepts(line)
	w.wants()
}

// flippedBehind: the position is still in the stream, but there was more.
func flippedBehind(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.pause()
	unread := w.publish(30)
	kit.Eventually(w.t, func() bool { return w.reader.Lag() == 30 }, "the reader knows how much there is")
	w.recount(unread[15])
	w.lose(unread[15:])
	says(w.t, w.noticed(another, 1), map[string]any{"kind": "restored", "place": 30, "at_least": 30, "read_on_after": 30})
	w.publish(20)
	w.wants("recreated")
	w.settles()
}
