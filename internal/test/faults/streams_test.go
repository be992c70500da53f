package faults

import (
	"testing"
	"time"

	natsd "github.com/nats-io/nats-server/v2/server"

	"rollcall/internal/roster"
)

var incarnations = []scenario{
	{"same, offline", sameOffline},
	{"same, running", sameRunning},
	{"recreated offline", recreatedOffline},
	{"recreated offline, longer", recreatedOfflineLonger},
	{"recreated running", recreatedRunning},
	{"recreated running, longer", recreatedRunningLonger},
	{"recreated twice in a row, offline", recreatedTwiceOffline},
	{"recreated twice in a row, running", recreatedTwiceRunning},
	{"missing offline", missingOffline},
	{"missing running", missingRunning},
	{"restored offline", restoredOffline},
	{"restored offline, older than all snapshots", restoredBeforeSnapshots},
	{"restored running", restoredRunning},
	{"forked offline", forkedOffline},
	{"forked running", forkedRunning},
	{"JetStream temporarily disabled", jetStreamOff},
}

// TestIncarnations: rollcall notices whether the stream of events is the same, another,
// an older copy or missing, while running and at the start. The roster is the fold of
// all events that could be read, and incomplete until the machines are settled or the
// operator accepts the loss; places are unique; nothing is dead-lettered twice.
func TestIncarnations(t *testing.T) {
	t.Parallel()
	play(t, incarnations)
}

func sameOffline(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.stop()
	w.Restart()
	w.publish(20)
	w.replayTo = 60
	w.start()
	w.check()
	w.checkFate(roster.Lost, 0)
}

func sameRunning(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.Restart()
	w.publish(20)
	w.check()
	w.checkIncarnations("recreated", 0)
	w.checkIncarnations("restored", 0)
}

func recreatedOffline(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.stop()
	w.markLost(w.publish(15)) // deleted before the service could read them
	w.recreate()
	w.publish(20)
	w.start()
	w.check("recreated")
	line := w.log.await(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "recreated", "place": 40, "seq": 40, "at_least": 0, "read_on_after": 0})
	w.checkIncarnations("recreated", 1)
	w.settle()
}

func recreatedOfflineLonger(w *world) {
	w.start()
	w.publish(10)
	w.check()
	w.stop()
	w.recreate()
	w.publish(50)
	w.start()
	w.check("recreated")
	line := w.log.await(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "recreated", "place": 10, "at_least": 0})
	w.acceptLoss(line)
	w.check()
}

func recreatedRunning(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.recreate()
	w.publish(20)
	line := w.noticed(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "recreated", "place": 40, "seq": 40, "at_least": 0})
	w.check("recreated")
	w.checkIncarnations("recreated", 1)
	w.acceptLoss(line)
	w.check()
	w.publish(20)
	w.check()
}

func recreatedRunningLonger(w *world) {
	w.start()
	w.publish(10)
	w.check()
	w.recreate()
	w.publish(50)
	line := w.noticed(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "recreated", "place": 10, "at_least": 0})
	w.check("recreated")
	w.settle()
}

func recreatedTwiceOffline(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.stop()
	for range 2 {
		w.recreate()
		w.start()
		w.check("recreated")
		w.checkIncarnations("recreated", 1)
		w.stop()
	}
	w.publish(20)
	w.start()
	w.check("recreated")
	w.checkIncarnations("recreated", 0)
	w.settle()
	w.checkFate(roster.Lost, 0)
}

func recreatedTwiceRunning(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.recreate()
	w.noticed(anotherIncarnation, 1)
	w.recreate()
	w.publish(20)
	w.noticed(anotherIncarnation, 2)
	w.check("recreated")
	w.checkIncarnations("recreated", 2)
	w.settle()
}

func missingOffline(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.stop()
	w.delete()
	w.start()
	w.log.await("stream missing, creating it", 1)
	w.publish(20)
	w.check("recreated")
	w.settle()
}

func missingRunning(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.delete()
	w.noticed("stream missing, creating it", 1)
	w.publish(20)
	w.check("recreated")
	w.settle()
}

// restoredOffline: reading continues after the newest snapshot whose last message the
// copy has; what was judged before is not judged again.
func restoredOffline(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.save()
	w.publish(15)
	w.check()
	older := w.copy()
	w.publish(40)
	w.check()
	w.stop()
	w.restore(older)
	w.start()
	w.check("recreated")
	line := w.log.await(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "restored", "place": 85, "seq": 85, "read_on_after": 30})
	w.checkIncarnations("restored", 1)
	w.checkFate(roster.DeadLettered, 17)
	w.publish(20)
	w.check("recreated")
	w.settle()
}

// restoredBeforeSnapshots: no snapshot matches the copy, so the copy is read from its
// first message, and nothing shows that its messages were judged before.
func restoredBeforeSnapshots(w *world) {
	w.start()
	w.publish(30)
	w.check()
	older := w.copy()
	w.publish(40)
	w.check()
	w.stop()
	w.restore(older)
	w.rejudged = 6 // of the first 30
	w.publish(20)
	w.start()
	w.check("recreated")
	line := w.log.await(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "restored", "place": 70, "read_on_after": 0})
	w.checkFate(roster.DeadLettered, 24)
	w.acceptLoss(line)
	w.check()
}

func restoredRunning(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.save()
	w.publish(15)
	w.check()
	older := w.copy()
	w.publish(40)
	w.check()
	w.restore(older)
	line := w.noticed(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "restored", "place": 85, "seq": 85, "read_on_after": 30})
	w.publish(20)
	w.check("recreated")
	w.acceptLoss(line)
	w.check()
}

// forkedOffline: by the next start the copy has grown past rollcall's position, with
// other messages under the same sequences: only the hash of the last message shows it.
func forkedOffline(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.save()
	older := w.copy()
	w.publish(20)
	w.check()
	w.stop()
	w.restore(older)
	w.publish(60)
	w.start()
	w.check("recreated")
	line := w.log.await(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "restored", "place": 50, "seq": 50, "at_least": 0, "read_on_after": 30})
	w.settle()
}

func forkedRunning(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.save()
	older := w.copy()
	w.publish(20)
	w.check()
	w.link.cut() // until the copy has grown past rollcall's position
	w.restore(older)
	w.publish(60)
	w.link.heal()
	line := w.noticed(anotherIncarnation, 1)
	wantAttrs(w.t, line, map[string]any{"kind": "restored", "place": 50, "seq": 50, "at_least": 0, "read_on_after": 30})
	w.check("recreated")
	w.acceptLoss(line)
	w.check()
}

// jetStreamOff: answers of a server without JetStream show nothing about the stream, so
// rollcall draws no conclusion from them.
func jetStreamOff(w *world) {
	w.start()
	w.publish(40)
	w.check()
	w.Stop()
	w.Start(func(o *natsd.Options) { o.JetStream = false })
	<-time.After(soon)
	w.checkReasons()
	w.Stop()
	w.Start(func(o *natsd.Options) { o.JetStream = true })
	w.publish(20)
	w.check()
	w.checkIncarnations("recreated", 0)
	w.checkIncarnations("restored", 0)
	w.checkFate(roster.Lost, 0)
}
