package faults

import (
	"fmt"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// TestPlacesGivenOnce: rollcall is killed after reading messages that no snapshot
// covers, and the stream is recreated before the next start. No place is assigned
// twice: the subjects of the dead letters show which were. What was read after the
// snapshot counts as lost.
func TestPlacesGivenOnce(t *testing.T) {
	t.Parallel()
	url, dir := kit.StartServer(t).URL, t.TempDir()
	js := kit.JetStream(t, kit.Conn(t, url))
	makeStreams(t, dir, url)
	refused := func(n, last int) {
		t.Helper()
		for range n {
			if _, err := js.Publish(t.Context(), rollcallv1.DefaultSubject+".events", []byte("no event")); err != nil {
				t.Fatal(err)
			}
		}
		kit.Eventually(t, func() bool {
			_, err := letters(t, js).GetLastMsgForSubject(t.Context(), fmt.Sprintf("rollcall.deadletters.%d", last))
			return err == nil
		}, fmt.Sprintf("there is a dead letter with place %d", last))
	}
	p := serve(t, dir, url)
	p.awaitLog("ready", "place")
	refused(10, 10)
	p.end(syscall.SIGTERM)
	p = serve(t, dir, url, "ROLLCALL_SNAPSHOT_INTERVAL=1h")
	refused(10, 20)
	p.end(syscall.SIGKILL)
	if err := js.DeleteStream(t.Context(), rollcallv1.DefaultEventsStream); err != nil {
		t.Fatal(err)
	}
	p = serve(t, dir, url)
	p.awaitLog("ready", "place")
	refused(5, 25)
	if place, fates := p.metric("rollcall_position"), p.fates(); place != 25 || fates["lost"] != 10 || fates["dead_lettered"] != 15 {
		t.Errorf("at place %v the fates are %v, want 25, 10 of them lost and 15 dead letters", place, fates)
	}
	if n := letters(t, js).CachedInfo().State.Msgs; n != 25 {
		t.Errorf("there are %d dead letters, want 25", n)
	}
	p.end(syscall.SIGTERM)
}

// letters returns the stream of dead letters.
func letters(t *testing.T, js jetstream.JetStream) jetstream.Stream {
	t.Helper()
	s, err := js.Stream(t.Context(), rollcallv1.DefaultDeadLettersStream)
	if err != nil {
		t.Fatal(err)
	}
	return s
}
