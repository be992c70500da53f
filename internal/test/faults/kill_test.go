package faults

import (
	"flag"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

var kills = flag.Int("faults.kills", kit.Length(10, 25), "how often TestKill kills rollcall")

// TestKill: rollcall is killed at random moments, including its start, while events are
// published. Then its roster is the same as without the kills, every place has one
// fate, and every refused message has one dead letter.
func TestKill(t *testing.T) {
	t.Parallel()
	rng := random(t)
	url, dir := kit.StartServer(t).URL, t.TempDir()
	makeStreams(t, dir, url)
	stop := publish(t, url, rng, 20*time.Millisecond)
	// The machine's speed decides which moments are hit: there are more kills until
	// there was one of each kind.
	var killed, resumed, ready int
	eachKind := func() bool { return resumed > 0 && ready > 0 && ready < killed }
	for ; killed < *kills || !eachKind() && killed < 20*(*kills); killed++ {
		p := serve(t, dir, url)
		if rng.IntN(3) == 0 {
			p.awaitLog("ready", "place")
		}
		<-upTo(rng, 250*time.Millisecond)
		p.end(syscall.SIGKILL)
		resumed += len(p.lines("snapshot loaded"))
		ready += len(p.lines("ready"))
	}
	stop()
	if !eachKind() {
		t.Errorf("of %d killed processes, %d had loaded a snapshot and %d were ready: want some of each kind", killed, resumed, ready)
	}
	wantUndisturbed(t, serve(t, dir, url), url)
}

// makeStreams lets rollcall create its streams.
func makeStreams(t *testing.T, dir, url string, variables ...string) {
	t.Helper()
	p := serve(t, dir, url, variables...)
	p.awaitLog("ready", "place")
	if state := p.end(syscall.SIGTERM); !state.Success() {
		t.Fatalf("rollcall ended with %v", state)
	}
}
