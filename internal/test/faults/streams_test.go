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
	{"JetStream off for a while", jetStreamOff},
}

// TestIncarnations: whether the stream of events is the same, another, an older
// copy or missing is noticed, while running and before the first fold. The
// roster is what comes of all events that could ever be read, and incomplete
// until the machines or the operator end that; places are unique; nothing is
// dead-lettered twice.
func TestIncarnations(t *testing.T) {
	t.Parallel()
	play(t, incarnations)
}

func sameOffline(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.stop()
	w.Restart()
	w.publish(20)
	w.replayTo = 60
	w.start()
	w.wants()
	w.fates(roster.Lost, 0)
}

func sameRunning(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.Restart()
	w.publish(20)
	w.wants()
	w.incarnations("recreated", 0)
	w.incarnations("restored", 0)
}

func recreatedOffline(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.stop()
	w.lose(w.publish(15)) // nobody was there to read them
	w.recreate()
	w.publish(20)
	w.start()
	w.wants("recreated")
	line := w.log.await(another, 1)
	says(w.t, line, map[string]any{"kind": "recreated", "place": 40, "seq": 40, "at_least": 0, "read_on_after": 0})
	w.incarnations("recreated", 1)
	w.settles()
}

func recreatedOfflineLonger(w *world) {
	w.start()
	w.publish(10)
	w.wants()
	w.stop()
	w.recreate()
	w.publish(50)
	w.start()
	w.wants("recreated")
	line := w.log.await(another, 1)
	says(w.t, line, map[string]any{"kind": "recreated", "place": 10, "at_least": 0})
	w.accepts(line)
	w.wants()
}

func recreatedRunning(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.recreate()
	w.publish(20)
	line := w.noticed(another, 1)
	says(w.t, line, map[string]any{"kind": "recreated", "place": 40, "seq": 40, "at_least": 0})
	w.wants("recreated")
	w.incarnations("recreated", 1)
	w.accepts(line)
	w.wants()
	w.publish(20)
	w.wants()
}

func recreatedRunningLonger(w *world) {
	w.start()
	w.publish(10)
	w.wants()
	w.recreate()
	w.publish(50)
	line := w.noticed(another, 1)
	says(w.t, line, map[string]any{"kind": "recreated", "place": 10, "at_least": 0})
	w.wants("recreated")
	w.settles()
}

func recreatedTwiceOffline(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.stop()
	for range 2 {
		w.recreate()
		w.start()
		w.wants("recreated")
		w.incarnations("recreated", 1)
		w.stop()
	}
	w.publish(20)
	w.start()
	w.wants("recreated")
	w.incarnations("recreated", 0)
	w.settles()
	w.fates(roster.Lost, 0)
}

func recreatedTwiceRunning(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.recreate()
	w.noticed(another, 1)
	w.recreate()
	w.publish(20)
	w.noticed(another, 2)
	w.wants("recreated")
	w.incarnations("recreated", 2)
	w.settles()
}

func missingOffline(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.stop()
	w.delete()
	w.start()
	w.log.await("stream missing, creating it", 1)
	w.publish(20)
	w.wants("recreated")
	w.settles()
}

func missingRunning(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.delete()
	w.noticed("stream missing, creating it", 1)
	w.publish(20)
	w.wants("recreated")
	w.settles()
}

// restoredOffline: reading goes on after the newest snapshot that the copy
// proves; what was judged before is not judged again.
func restoredOffline(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.save()
	w.publish(15)
	w.wants()
	older := w.copy()
	w.publish(40)
	w.wants()
	w.stop()
	w.restore(older)
	w.start()
	w.wants("recreated")
	line := w.log.await(another, 1)
	says(w.t, line, map[string]any{"kind": "restored", "place": 85, "seq": 85, "read_on_after": 30})
	w.incarnations("restored", 1)
	w.fates(roster.DeadLettered, 17)
	w.publish(20)
	w.wants("recreated")
	w.settles()
}

// restoredBeforeSnapshots: no snapshot is of the copy, so it is read from its
// first message, and nothing tells that it was judged before.
func restoredBeforeSnapshots(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	older := w.copy()
	w.publish(40)
	w.wants()
	w.stop()
	w.restore(older)
	w.rejudged = 6 // of the first 30
	w.publish(20)
	w.start()
	w.wants("recreated")
	line := w.log.await(another, 1)
	says(w.t, line, map[string]any{"kind": "restored", "place": 70, "read_on_after": 0})
	w.fates(roster.DeadLettered, 24)
	w.accepts(line)
	w.wants()
}

func restoredRunning(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.save()
	w.publish(15)
	w.wants()
	older := w.copy()
	w.publish(40)
	w.wants()
	w.restore(older)
	line := w.noticed(another, 1)
	says(w.t, line, map[string]any{"kind": "restored", "place": 85, "seq": 85, "read_on_after": 30})
	w.publish(20)
	w.wants("recreated")
	w.accepts(line)
	w.wants()
}

// forkedOffline: the copy is above our position again when we look, with other
// messages under our numbers: only the hash of the last one tells.
func forkedOffline(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.save()
	older := w.copy()
	w.publish(20)
	w.wants()
	w.stop()
	w.restore(older)
	w.publish(60)
	w.start()
	w.wants("recreated")
	line := w.log.await(another, 1)
	says(w.t, line, map[string]any{"kind": "restored", "place": 50, "seq": 50, "at_least": 0, "read_on_after": 30})
	w.settles()
}

func forkedRunning(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.save()
	older := w.copy()
	w.publish(20)
	w.wants()
	w.link.cut() // until the copy is above our position
	w.restore(older)
	w.publish(60)
	w.link.heal()
	line := w.noticed(another, 1)
	says(w.t, line, map[string]any{"kind": "restored", "place": 50, "seq": 50, "at_least": 0, "read_on_after": 30})
	w.wants("recreated")
	w.accepts(line)
	w.wants()
}

// jetStreamOff: a server without JetStream says nothing of the stream, so
// nothing follows from its answers.
func jetStreamOff(w *world) {
	w.start()
	w.publish(40)
	w.wants()
	w.Stop()
	w.Start(func(o *natsd.Options) { o.JetStream = false })
	<-time.After(soon)
	w.wantsReasons()
	w.Stop()
	w.Start(func(o *natsd.Options) { o.JetStream = true })
	w.publish(20)
	w.wants()
	w.incarnations("recreated", 0)
	w.incarnations("restored", 0)
	w.fates(roster.Lost, 0)
}
