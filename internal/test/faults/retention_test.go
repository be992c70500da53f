package faults

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

var retention = []scenario{
	{"baseline lost", baselineLost},
	{"purged offline", func(w *world) { w.truncatedOffline((*world).purgeTo50) }},
	{"purged running", func(w *world) { w.truncatedRunning((*world).purgeTo50) }},
	{"purged running, and nothing after", purgedRunning},
	{"max msgs offline", func(w *world) { w.truncatedOffline((*world).maxMsgs) }},
	{"max msgs running", func(w *world) { w.truncatedRunning((*world).maxMsgs) }},
	{"max bytes offline", func(w *world) { w.truncatedOffline((*world).maxBytes) }},
	{"max bytes running", func(w *world) { w.truncatedRunning((*world).maxBytes) }},
	{"max age offline", func(w *world) { w.truncatedOffline((*world).maxAge) }},
	{"max age running", func(w *world) { w.truncatedRunning((*world).maxAge) }},
	{"truncated while behind", truncatedWhileBehind},
	{"purged up to the position", purgedToPosition},
	{"deleted offline", deletedOffline},
	{"deleted offline, and nothing left to read", deletedAll},
	{"deleted running", deletedRunning},
	{"deleted after it was read", deletedBefore},
}

// TestRetention: exactly the messages that the stream deleted before they were read
// count as lost, with their reason and range in the log, and everything else is folded.
// Deleting messages that were read already loses nothing.
func TestRetention(t *testing.T) {
	t.Parallel()
	play(t, retention)
}

func baselineLost(w *world) {
	w.markLost(w.publish(10))
	w.publish(20)
	w.purge(11)
	w.start()
	w.check("baseline_lost")
	line := w.log.await(lost, 1)
	wantAttrs(w.t, line, map[string]any{"reason": "baseline_lost", "from": 1, "to": 10, "count": 10})
	w.checkFate(roster.Lost, 10)
	w.acceptLoss(line)
	w.check()
}

// The following make a stream of 60 events delete some after the first 30.
func (w *world) purgeTo50() { w.purge(51) }

func (w *world) maxMsgs() {
	w.update(func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 })
	w.update(func(c *jetstream.StreamConfig) { c.MaxMsgs = -1 })
}

func (w *world) maxBytes() {
	w.update(func(c *jetstream.StreamConfig) { c.MaxBytes = 2000 })
	w.update(func(c *jetstream.StreamConfig) { c.MaxBytes = -1 })
}

// maxAge deletes all events, and keeps later ones.
func (w *world) maxAge() {
	w.update(func(c *jetstream.StreamConfig) { c.MaxAge = 200 * time.Millisecond })
	kit.Eventually(w.t, func() bool { return w.stream().CachedInfo().State.Msgs == 0 }, "all messages are too old")
	w.update(func(c *jetstream.StreamConfig) { c.MaxAge = 0 })
}

// markGone marks those of the events as lost that the stream no longer has, and returns
// the range of their sequences.
func (w *world) markGone(events []*entry) (from, to uint64) {
	w.t.Helper()
	first := w.stream().CachedInfo().State.FirstSeq
	for _, e := range events {
		e.lost = e.seq < first
	}
	if from, to = events[0].seq, first-1; to < from {
		w.t.Fatalf("the stream begins with %d: no event was deleted", first)
	}
	return from, to
}

func (w *world) truncatedOffline(truncate func(*world)) {
	w.start()
	w.publish(30)
	w.check()
	w.stop()
	unread := w.publish(30)
	truncate(w)
	from, to := w.markGone(unread)
	w.publish(10)
	w.start()
	w.check("truncated")
	line := w.log.await(lost, 1)
	wantAttrs(w.t, line, map[string]any{"reason": "truncated", "from": from, "to": to, "count": to - from + 1})
	w.checkFate(roster.Lost, to-30)
	w.checkIncarnations("restored", 0)
	w.settle()
}

// pause pauses the service's consumer: it exists, but delivers nothing, as may happen
// after a change of leader.
func (w *world) pause() (resume func()) {
	w.t.Helper()
	s := w.stream()
	for c := range s.ListConsumers(w.t.Context()).Info() {
		if _, err := s.PauseConsumer(w.t.Context(), c.Name, time.Now().Add(time.Minute)); err != nil {
			w.t.Fatal(err)
		}
		resume = func() {
			s.ResumeConsumer(w.t.Context(), c.Name) //nolint:errcheck // it may be deleted already
		}
	}
	return resume
}

func (w *world) truncatedRunning(truncate func(*world)) {
	w.start()
	w.publish(30)
	w.check()
	w.pause()
	unread := w.publish(30)
	truncate(w)
	from, to := w.markGone(unread)
	line := w.noticed(lost, 1)
	w.publish(10)
	wantAttrs(w.t, line, map[string]any{"reason": "truncated", "from": from, "to": to, "count": to - from + 1})
	w.check("truncated")
	w.checkFate(roster.Lost, to-30)
	w.acceptLoss(line)
	w.check()
}

// purgedRunning: no later message shows the gap.
func purgedRunning(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.pause()
	w.markLost(w.publish(30))
	w.purge(61)
	wantAttrs(w.t, w.noticed(lost, 1), map[string]any{"reason": "truncated", "from": 31, "to": 60})
	w.check("truncated")
	w.settle()
}

// truncatedWhileBehind: a consumer that is behind silently continues after the gap.
func truncatedWhileBehind(w *world) {
	w.start()
	w.publish(30)
	w.check()
	resume := w.pause()
	w.markLost(w.publish(30))
	w.publish(10)
	w.purge(61)
	resume()
	wantAttrs(w.t, w.noticed(lost, 1), map[string]any{"reason": "truncated", "from": 31, "to": 60})
	w.check("truncated")
	w.settle()
}

// purgedToPosition: nothing is lost, and nothing is logged as lost.
func purgedToPosition(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.purge(31)
	<-time.After(6 * time.Second) // until the position has been verified
	w.check()
	w.stop()
	w.Restart()
	w.start()
	w.check()
	w.publish(10)
	w.check()
	w.checkFate(roster.Lost, 0)
	w.checkIncarnations("restored", 0)
	if lines := w.log.withMessage(lost); len(lines) > 0 {
		w.t.Errorf("it logs %v", lines)
	}
}

func (w *world) deleteOne(e *entry) {
	w.t.Helper()
	if err := w.stream().DeleteMsg(w.t.Context(), e.seq); err != nil {
		w.t.Fatal(err)
	}
}

func deletedOffline(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.stop()
	unread := w.publish(20)
	for _, e := range []*entry{unread[4], unread[5], unread[19]} {
		w.deleteOne(e)
		w.markLost([]*entry{e})
	}
	w.start()
	w.check("deleted")
	w.log.await(lost, 2)
	line := w.log.withMessage(lost)[0]
	wantAttrs(w.t, line, map[string]any{"reason": "deleted", "from": 35, "to": 36, "count": 2})
	wantAttrs(w.t, w.log.withMessage(lost)[1], map[string]any{"reason": "deleted", "from": 50, "to": 50, "count": 1})
	w.checkFate(roster.Lost, 3)
	w.acceptLoss(w.log.withMessage(lost)[1])
	w.check()
}

func deletedAll(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.stop()
	for _, e := range w.publish(5) {
		w.deleteOne(e)
		w.markLost([]*entry{e})
	}
	w.start()
	wantAttrs(w.t, w.noticed(lost, 1), map[string]any{"reason": "deleted", "from": 31, "to": 35})
	w.check("deleted")
	w.settle()
}

func deletedRunning(w *world) {
	w.start()
	w.publish(30)
	w.check()
	resume := w.pause()
	unread := w.publish(20)
	w.deleteOne(unread[7])
	w.markLost(unread[7:8])
	resume()
	wantAttrs(w.t, w.noticed(lost, 1), map[string]any{"reason": "deleted", "from": 38, "to": 38})
	w.check("deleted")
	w.settle()
}

func deletedBefore(w *world) {
	w.start()
	read := w.publish(30)
	w.check()
	w.deleteOne(read[3])
	w.deleteOne(read[29]) // the message at the position
	w.stop()
	w.start()
	w.publish(10)
	w.check()
	w.checkFate(roster.Lost, 0)
}
