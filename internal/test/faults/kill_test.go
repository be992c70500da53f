package faults

import (
	"flag"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

var kills = flag.Int("faults.kills", kit.Length(10, 50), "how often TestKill kills rollcall")

// TestKill: rollcall is killed at random moments, its start included, while
// events flow. Then the roster is that of a rollcall that nothing happened to,
// every place has one fate, and every refused message is one dead letter.
func TestKill(t *testing.T) {
	t.Parallel()
	rng := random(t)
	url, dir := kit.StartServer(t).URL, t.TempDir()
	makeStreams(t, dir, url)
	stop := publish(t, url, rng, 20*time.Millisecond)
	var resumed, ready int
	for range *kills {
		p := serve(t, dir, url)
		if rng.IntN(3) == 0 {
			p.says("ready", "place")
		}
		<-upTo(rng, 250*time.Millisecond)
		p.end(syscall.SIGKILL)
		resumed += len(p.lines("snapshot loaded"))
		ready += len(p.lines("ready"))
	}
	stop()
	if resumed == 0 || ready == 0 || ready == *kills {
		t.Errorf("of %d that were killed %d had gone on from a snapshot and %d were ready: too much of one kind", *kills, resumed, ready)
	}
	wantUndisturbed(t, serve(t, dir, url), url)
}

// makeStreams has rollcall make its streams.
func makeStreams(t *testing.T, dir, url string, variables ...string) {
	t.Helper()
	p := serve(t, dir, url, variables...)
	p.says("ready", "place")
	if state := p.end(syscall.SIGTERM); !state.Success() {
		t.Fatalf("rollcall ended with %v", state)
	}
}
