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
	{"bit flipped, and the server rebuilds its index", flippedCounted},
	{"bit flipped, and the end not read yet", flippedBehind},
}

// TestDamage: a message with a flipped bit on the server's disk is lost, and only that
// one, and rollcall reports it; if the server then drops everything after it, rollcall
// notices that, too.
func TestDamage(t *testing.T) {
	t.Parallel()
	play(t, damage)
}

// flip stops the server, flips a bit of each of these events in the server's block
// files, and starts the server again.
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
	w.check()
	w.stop()
	unread := w.publish(20)
	w.flip(unread[10])
	w.markLost(unread[10:11])
	w.start()
	w.check("gap")
	line := w.log.await(lost, 1)
	wantAttrs(w.t, line, map[string]any{"reason": "gap", "from": 41, "to": 41, "count": 1})
	w.checkFate(roster.Lost, 1)
	w.acceptLoss(line)
	w.check()
}

func flippedRunning(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.link.cut()
	unread := w.publish(20)
	w.flip(unread[10], unread[11], unread[15])
	w.markLost([]*entry{unread[10], unread[11], unread[15]})
	w.link.heal()
	w.log.await(lost, 2)
	wantAttrs(w.t, w.log.withMessage(lost)[0], map[string]any{"reason": "gap", "from": 41, "to": 42, "count": 2})
	wantAttrs(w.t, w.log.withMessage(lost)[1], map[string]any{"reason": "gap", "from": 46, "to": 46, "count": 1})
	w.check("gap")
	w.settle()
}

// flippedLast: there is no message after it that would show the gap.
func flippedLast(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.stop()
	unread := w.publish(20)
	w.flip(unread[19])
	w.markLost(unread[19:])
	w.start()
	w.check("gap")
	wantAttrs(w.t, w.log.await(lost, 1), map[string]any{"reason": "gap", "from": 50, "to": 50})
	w.settle()
}

// flippedProof: the message at the position can no longer be compared, but is not
// needed any more.
func flippedProof(w *world) {
	w.start()
	read := w.publish(30)
	w.check()
	w.stop()
	w.flip(read[29])
	w.start()
	w.publish(20)
	w.check()
	w.checkFate(roster.Lost, 0)
}

// recount flips a bit of an event and makes the server rebuild its index, as after
// being killed: it silently drops everything from the damaged message on, and reuses
// these sequences.
func (w *world) recount(e *entry) {
	w.t.Helper()
	w.Stop()
	w.flipOne(e)
	if err := os.Remove(filepath.Join(w.files(), "msgs", "index.db")); err != nil {
		w.t.Fatal(err)
	}
	w.Start()
	if last := w.stream().CachedInfo().State.LastSeq; last != e.seq-1 {
		w.t.Fatalf("the server has %d messages, want %d", last, e.seq-1)
	}
}

func flippedCounted(w *world) {
	w.start()
	read := w.publish(30)
	w.check()
	w.stop()
	w.recount(read[20])
	w.rejudged = 4 // of the first 20: nothing shows that they were judged before
	w.publish(20)
	w.start()
	w.check("recreated")
	line := w.log.await(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "restored", "place": 30, "seq": 30, "read_on_after": 0})
	w.acceptLoss(line)
	w.check()
}

// flippedBehind: the stream still has the position, but lost messages after it.
func flippedBehind(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.pause()
	unread := w.publish(30)
	kit.Eventually(w.t, func() bool { return w.reader.Lag() == 30 }, "the reader's lag is 30")
	w.recount(unread[15])
	w.markLost(unread[15:])
	wantAttrs(w.t, w.noticed(anotherIncarnation, 1), map[string]any{"kind": "restored", "place": 30, "at_least": 30, "read_on_after": 30})
	w.publish(20)
	w.check("recreated")
	w.settle()
}
