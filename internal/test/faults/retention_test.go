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
	{"truncated on the way", truncatedOnTheWay},
	{"purged up to the position", purgedToPosition},
	{"deleted offline", deletedOffline},
	{"deleted offline, and nothing left to read", deletedAll},
	{"deleted running", deletedRunning},
	{"deleted after it was read", deletedBefore},
}

// TestRetention: what the stream no longer has when it is to be read is lost,
// exactly that, with its reason and its range in the log, and everything else
// is folded. What was read before is not missed.
func TestRetention(t *testing.T) {
	t.Parallel()
	play(t, retention)
}

func baselineLost(w *world) {
	w.lose(w.publish(10))
	w.publish(20)
	w.purge(11)
	w.start()
	w.wants("baseline_lost")
	line := w.log.await(lost, 1)
	says(w.t, line, map[string]any{"reason": "baseline_lost", "from": 1, "to": 10, "count": 10})
	w.fates(roster.Lost, 10)
	w.accepts(line)
	w.wants()
}

// The ways in which a stream of 60 events loses some beyond the first 30.
func (w *world) purgeTo50() { w.purge(51) }

func (w *world) maxMsgs() {
	w.update(func(c *jetstream.StreamConfig) { c.MaxMsgs = 10 })
	w.update(func(c *jetstream.StreamConfig) { c.MaxMsgs = -1 })
}

func (w *world) maxBytes() {
	w.update(func(c *jetstream.StreamConfig) { c.MaxBytes = 2000 })
	w.update(func(c *jetstream.StreamConfig) { c.MaxBytes = -1 })
}

// maxAge lets all events go, and keeps those to come.
func (w *world) maxAge() {
	w.update(func(c *jetstream.StreamConfig) { c.MaxAge = 200 * time.Millisecond })
	kit.Eventually(w.t, func() bool { return w.stream().CachedInfo().State.Msgs == 0 }, "all messages are too old")
	w.update(func(c *jetstream.StreamConfig) { c.MaxAge = 0 })
}

// gone says that those of the events that the stream no longer has are lost,
// and returns the range of their sequences.
func (w *world) gone(events []*entry) (from, to uint64) {
	w.t.Helper()
	first := w.stream().CachedInfo().State.FirstSeq
	for _, e := range events {
		e.lost = e.seq < first
	}
	if from, to = events[0].seq, first-1; to < from {
		w.t.Fatalf("the stream begins with %d: nothing is gone", first)
	}
	return from, to
}

func (w *world) truncatedOffline(truncate func(*world)) {
	w.start()
	w.publish(30)
	w.wants()
	w.stop()
	unread := w.publish(30)
	truncate(w)
	from, to := w.gone(unread)
	w.publish(10)
	w.start()
	w.wants("truncated")
	line := w.log.await(lost, 1)
	says(w.t, line, map[string]any{"reason": "truncated", "from": from, "to": to, "count": to - from + 1})
	w.fates(roster.Lost, to-30)
	w.incarnations("restored", 0)
	w.settles()
}

// pause makes the service's consumer deliver nothing, though it says that it is
// there, as one may do after a change of leader.
func (w *world) pause() (resume func()) {
	w.t.Helper()
	s := w.stream()
	for c := range s.ListConsumers(w.t.Context()).Info() {
		if _, err := s.PauseConsumer(w.t.Context(), c.Name, time.Now().Add(time.Minute)); err != nil {
			w.t.Fatal(err)
		}
		resume = func() {
			s.ResumeConsumer(w.t.Context(), c.Name) //nolint:errcheck // it may be gone
		}
	}
	return resume
}

func (w *world) truncatedRunning(truncate func(*world)) {
	w.start()
	w.publish(30)
	w.wants()
	w.pause()
	unread := w.publish(30)
	truncate(w)
	from, to := w.gone(unread)
	line := w.noticed(lost, 1)
	w.publish(10)
	says(w.t, line, map[string]any{"reason": "truncated", "from": from, "to": to, "count": to - from + 1})
	w.wants("truncated")
	w.fates(roster.Lost, to-30)
	w.accepts(line)
	w.wants()
}

// purgedRunning: there is no message that would show the gap.
func purgedRunning(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.pause()
	w.lose(w.publish(30))
	w.purge(61)
	says(w.t, w.noticed(lost, 1), map[string]any{"reason": "truncated", "from": 31, "to": 60})
	w.wants("truncated")
	w.settles()
}

// truncatedOnTheWay: a consumer that is behind goes on after the gap and says
// nothing.
func truncatedOnTheWay(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	resume := w.pause()
	w.lose(w.publish(30))
	w.publish(10)
	w.purge(61)
	resume()
	says(w.t, w.noticed(lost, 1), map[string]any{"reason": "truncated", "from": 31, "to": 60})
	w.wants("truncated")
	w.settles()
}

// purgedToPosition: nothing is lost, so nothing is said.
func purgedToPosition(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.purge(31)
	<-time.After(6 * time.Second) // until the position was verified
	w.wants()
	w.stop()
	w.Restart()
	w.start()
	w.wants()
	w.publish(10)
	w.wants()
	w.fates(roster.Lost, 0)
	w.incarnations("restored", 0)
	if said := w.log.find(lost); len(said) > 0 {
		w.t.Errorf("it says %v", said)
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
	w.wants()
	w.stop()
	unread := w.publish(20)
	for _, e := range []*entry{unread[4], unread[5], unread[19]} {
		w.deleteOne(e)
		w.lose([]*entry{e})
	}
	w.start()
	w.wants("deleted")
	w.log.await(lost, 2)
	line := w.log.find(lost)[0]
	says(w.t, line, map[string]any{"reason": "deleted", "from": 35, "to": 36, "count": 2})
	says(w.t, w.log.find(lost)[1], map[string]any{"reason": "deleted", "from": 50, "to": 50, "count": 1})
	w.fates(roster.Lost, 3)
	w.accepts(w.log.find(lost)[1])
	w.wants()
}

func deletedAll(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.stop()
	for _, e := range w.publish(5) {
		w.deleteOne(e)
		w.lose([]*entry{e})
	}
	w.start()
	says(w.t, w.noticed(lost, 1), map[string]any{"reason": "deleted", "from": 31, "to": 35})
	w.wants("deleted")
	w.settles()
}

func deletedRunning(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	resume := w.pause()
	unread := w.publish(20)
	w.deleteOne(unread[7])
	w.lose(unread[7:8])
	resume()
	says(w.t, w.noticed(lost, 1), map[string]any{"reason": "deleted", "from": 38, "to": 38})
	w.wants("deleted")
	w.settles()
}

func deletedBefore(w *world) {
	w.start()
	read := w.publish(30)
	w.wants()
	w.deleteOne(read[3])
	w.deleteOne(read[29]) // the position's own
	w.stop()
	w.start()
	w.publish(10)
	w.wants()
	w.fates(roster.Lost, 0)
}
