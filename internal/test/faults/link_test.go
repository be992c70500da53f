package faults

import (
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

var badLinks = []scenario{
	{"cut", linkCut},
	{"cut again and again", linkCutOften},
	{"stalled for a while", linkStalledShortly},
	{"stalled", func(w *world) { w.linkDies(func() { w.link.stall(toServer, toClient) }) }},
	{"stalled to the server", func(w *world) { w.linkDies(func() { w.link.stall(toServer) }) }},
	{"stalled to the client", func(w *world) { w.linkDies(func() { w.link.stall(toClient) }) }},
	{"half-open", func(w *world) { w.linkDies(w.link.halfOpen) }},
	{"slow", linkSlow},
}

// TestLinks: whatever the link to the server does, a dead one is noticed within
// 30 seconds, reading goes on as soon as there is a good one, and nothing is
// lost or counted twice.
func TestLinks(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	play(t, badLinks)
}

// unharmed checks that the link's fault left no trace.
func (w *world) unharmed() {
	w.t.Helper()
	w.wants()
	w.fates(roster.Lost, 0)
	w.incarnations("recreated", 0)
	w.incarnations("restored", 0)
	if place, last := w.roster.Status().Position.Place, w.stream().CachedInfo().State.LastSeq; place != last {
		w.t.Errorf("the place is %d, of %d messages", place, last)
	}
}

func linkCut(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.link.cut()
	w.publish(30)
	w.link.heal()
	w.unharmed()
}

func linkCutOften(w *world) {
	w.start()
	rng := random(w.t)
	for range 20 {
		w.publish(15)
		<-upTo(rng, 100*time.Millisecond)
		w.link.cut()
		w.publish(5)
		w.link.heal()
	}
	w.unharmed()
}

// linkStalledShortly: the connection lives on, and so does what was on its way.
func linkStalledShortly(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.link.stall(toServer, toClient)
	w.publish(30)
	<-time.After(12 * time.Second) // the consumer is in doubt, the connection isn't
	w.publish(30)
	w.link.heal()
	w.unharmed()
}

// linkDies: the connection is dead and nobody is told.
func (w *world) linkDies(how func()) {
	w.start()
	w.publish(30)
	w.wants()
	how()
	began := time.Now()
	w.publish(30)
	for len(w.log.find("nats connection lost, reconnecting")) == 0 && time.Since(began) < 40*time.Second {
		<-time.After(50 * time.Millisecond)
	}
	noticed := time.Since(began)
	w.t.Logf("noticed after %v", noticed.Round(time.Millisecond))
	if noticed > 30*time.Second {
		w.t.Errorf("it took %v to notice that the peer is dead, want at most 30s", noticed)
	}
	w.link.heal()
	healed := time.Now()
	w.unharmed()
	if took := time.Since(healed); took > soon {
		w.t.Errorf("it took %v to read on, want at most %v", took, soon)
	}
}

func linkSlow(w *world) {
	w.start()
	w.publish(30)
	w.wants()
	w.link.slow(8 << 10)
	w.publish(200)
	w.unharmed()
}
