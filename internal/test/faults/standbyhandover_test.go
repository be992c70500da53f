package faults

import (
	"encoding/base64"
	"flag"
	"fmt"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

var handOverFaults = flag.Bool("faults.handover", false, "whether TestStandbyHandover runs")

// TestStandbyHandover: while the active service hands over to an empty one, which takes long
// over a slow link, it stays active. If it is ended, killed or stopped meanwhile, another one
// takes over as fast as ever, and the empty one gets from that what it asked for.
func TestStandbyHandover(t *testing.T) {
	if !*handOverFaults {
		t.Skip("takes minutes: -faults.handover runs it")
	}
	const ttl = 3 * time.Second
	server := kit.StartServer(t)
	p := newPair(t, server.URL, ttl, "ROLLCALL_SNAPSHOT_INTERVAL=1h")
	js := kit.JetStream(t, kit.Conn(t, server.URL))
	const events = 6000
	kit.PublishLogins(t, js, 2)
	publishBulky(t, js, events)
	for _, m := range p.members {
		m.awaitPlace(events + 2)
	}
	for _, fault := range standbyFaults[:5] {
		active := p.awaitHealthy()
		p.members[active].link.slow(1 << 20)
		empty := serve(t, t.TempDir(), server.URL, p.variables...)
		kit.Eventually(t, func() bool { return handingOver(t, js) }, "something is being handed over")
		l := startAsking(t, server.URL)
		<-time.After(ttl)
		if !p.isActive(active) || !handingOver(t, js) {
			t.Errorf("%s: it is not active any more, or nothing is being handed over any more", fault.name)
		}
		l.longestGap()
		end := fault.begin(p, active)
		kit.Eventually(t, func() bool { return p.settled(fault.name, active) }, "another one is active")
		awaitAnswers(l)
		gap := l.longestGap()
		t.Logf("%s: without an answer %v", fault.name, gap)
		if most := fault.within(ttl); gap > most {
			t.Errorf("%s: nobody answered for %v, want at most %v", fault.name, gap, most)
		}
		end()
		p.members[active].link.heal()
		begun := time.Now()
		empty.awaitLog("begins with what the active rollcall handed over", "place")
		t.Logf("%s: the empty one begins after %v", fault.name, time.Since(begun))
		empty.awaitPlace(events + 2)
		empty.end(syscall.SIGTERM)
		l.stop()
	}
}

// handingOver reports whether a part of a hand-over is in the object store.
func handingOver(t *testing.T, js jetstream.JetStream) bool {
	t.Helper()
	store, err := js.Stream(t.Context(), "OBJ_ROLLCALL_HANDOVER")
	return err == nil && store.CachedInfo().State.Msgs > 0
}

// publishBulky publishes n logins that take a kilobyte each in snapshots and histories.
func publishBulky(t *testing.T, js jetstream.JetStream, n int) {
	t.Helper()
	rng := random(t)
	text := func() string {
		b := make([]byte, 180)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return base64.URLEncoding.EncodeToString(b)
	}
	for i := range n {
		event := fmt.Appendf(nil, `{"date":%q,"type":"login","machine":"bulky%d","user":"u%d","terminal":%q,"remote":%q,"service":%q}`,
			time.Now().UTC().Format(time.RFC3339Nano), i%100, i, text(), text(), text())
		if _, err := js.PublishAsync("rollcall.events", event); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
}
