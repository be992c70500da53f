package faults

import (
	"testing"
	"time"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

var badLinks = []scenario{
	{"cut", linkCut},
	{"cut repeatedly", linkCutOften},
	{"stalled briefly", linkStalledShortly},
	{"stalled", func(w *world) { w.testDeadLink(func() { w.link.stall(toServer, toClient) }) }},
	{"stalled to the server", func(w *world) { w.testDeadLink(func() { w.link.stall(toServer) }) }},
	{"stalled to the client", func(w *world) { w.testDeadLink(func() { w.link.stall(toClient) }) }},
	{"half-open", func(w *world) { w.testDeadLink(w.link.halfOpen) }},
	{"slow", linkSlow},
}

// TestLinks: a dead link to the server is noticed within 30 seconds, reading continues
// soon after the link works again, and nothing is lost or counted twice.
func TestLinks(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	play(t, badLinks)
}

// checkUnharmed checks that the link's fault left no trace.
func (w *world) checkUnharmed() {
	w.t.Helper()
	w.check()
	w.checkFate(roster.Lost, 0)
	w.checkIncarnations("recreated", 0)
	w.checkIncarnations("restored", 0)
	if place, last := w.roster.Status().Position.Place, w.stream().CachedInfo().State.LastSeq; place != last {
		w.t.Errorf("the place is %d, want %d, the number of messages", place, last)
	}
}

func linkCut(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.link.cut()
	w.publish(30)
	w.link.heal()
	w.checkUnharmed()
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
	w.checkUnharmed()
}

// linkStalledShortly: the connection survives, and what was in flight arrives.
func linkStalledShortly(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.link.stall(toServer, toClient)
	w.publish(30)
	<-time.After(12 * time.Second) // long enough to recreate the consumer, but not the connection
	w.publish(30)
	w.link.heal()
	w.checkUnharmed()
}

// testDeadLink breaks the link without closing the service's connection.
func (w *world) testDeadLink(breakLink func()) {
	w.start()
	w.publish(30)
	w.check()
	breakLink()
	began := time.Now()
	w.publish(30)
	for len(w.log.withMessage("nats connection lost, reconnecting")) == 0 && time.Since(began) < 40*time.Second {
		<-time.After(50 * time.Millisecond)
	}
	noticed := time.Since(began)
	w.t.Logf("noticed after %v", noticed.Round(time.Millisecond))
	if noticed > 30*time.Second {
		w.t.Errorf("it took %v to notice the dead link, want at most 30s", noticed)
	}
	w.link.heal()
	healed := time.Now()
	w.checkUnharmed()
	// A question asked over the dead link may have to time out first.
	if took := time.Since(healed); took > 2*soon {
		w.t.Errorf("it took %v to continue reading, want at most %v", took, 2*soon)
	}
}

func linkSlow(w *world) {
	w.start()
	w.publish(30)
	w.check()
	w.link.slow(8 << 10)
	w.publish(200)
	w.checkUnharmed()
}
