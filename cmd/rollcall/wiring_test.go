package main

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// These tests verify the wiring of the service; each part has tests of its own.

// newEventsStream starts a server with a stream of events for the test.
func newEventsStream(t *testing.T) (*kit.Server, jetstream.JetStream) {
	t.Helper()
	server := kit.StartServer(t)
	js := kit.JetStream(t, kit.Conn(t, server.URL))
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return server, js
}

// TestRestoredStream: the reader knows the positions of the snapshots that are
// kept. If the stream turns out to be an older copy, it continues after the newest
// position that the copy proves, instead of reading from the first message.
func TestRestoredStream(t *testing.T) {
	kit.Long(t)
	server, js := newEventsStream(t)
	dir, copied := t.TempDir(), t.TempDir()
	p := serve(t, dir, "NATS_URL="+server.URL)
	kit.PublishLogins(t, js, 3)
	p.digest(3)
	server.Stop()
	if err := os.CopyFS(copied, os.DirFS(server.Dir)); err != nil {
		t.Fatal(err)
	}
	server.Start()
	kit.PublishLogins(t, js, 2)
	p.digest(5)
	p.stop(syscall.SIGTERM)
	server.Stop()
	if err := os.RemoveAll(server.Dir); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(server.Dir, os.DirFS(copied)); err != nil {
		t.Fatal(err)
	}
	server.Start()
	p = begin(t, dir, "NATS_URL="+server.URL)
	const another = "stream was recreated or restored: unread events of the old one are lost"
	if after := p.says(another, "read_on_after"); after != "3" {
		t.Errorf("reading continues after %s, want 3", after)
	}
}

// TestDeletedStream: a stream that somebody deletes is recreated.
func TestDeletedStream(t *testing.T) {
	server, js := newEventsStream(t)
	p := serve(t, t.TempDir(), "NATS_URL="+server.URL)
	kit.PublishLogins(t, js, 1)
	p.reaches(1)
	if err := js.DeleteStream(t.Context(), "ROLLCALL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		_, err := js.Stream(t.Context(), "ROLLCALL_EVENTS")
		return err == nil
	}, "the stream is there again")
	kit.PublishLogins(t, js, 1)
	p.reaches(2)
}

// TestAcceptLoss: the place in the log line of a loss accepts it. That is saved, so the
// next start does not need the variable.
func TestAcceptLoss(t *testing.T) {
	server, js := newEventsStream(t)
	kit.PublishLogins(t, js, 3)
	stream, err := js.Stream(t.Context(), "ROLLCALL_EVENTS")
	if err == nil {
		err = stream.Purge(t.Context(), jetstream.WithPurgeSequence(3))
	}
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	start := func(complete string, variables ...string) *process {
		t.Helper()
		p := serve(t, dir, append(variables, "NATS_URL="+server.URL)...)
		if got := p.metric("rollcall_complete"); got != complete {
			t.Errorf("with %v rollcall_complete is %s, want %s", variables, got, complete)
		}
		return p
	}
	p := start("0")
	accept := p.says("events are lost", "accept")
	if accept != "ROLLCALL_ACCEPT_LOSS=2" {
		t.Errorf("the log line gives %s", accept)
	}
	kit.Environment(t, map[string]string{"NATS_URL": server.URL})
	if r := rollcall(t.Context(), nil, "status"); !strings.Contains(r.out, accept+"\n") {
		t.Errorf("status does not give %s: %s", accept, r.out)
	}
	p.stop(syscall.SIGTERM)
	start("0").stop(syscall.SIGTERM)
	start("1", accept).stop(syscall.SIGTERM)
	start("1").stop(syscall.SIGTERM)
}

// TestLettersAtTheEnd: during the shutdown dead letters are still stored until the last
// snapshot is, which waits for them.
func TestLettersAtTheEnd(t *testing.T) {
	const n = 1000
	server, js := newEventsStream(t)
	dir := t.TempDir()
	serve(t, dir, "NATS_URL="+server.URL).stop(syscall.SIGTERM) // makes the streams
	for range n {
		if _, err := js.PublishAsync("rollcall.events", []byte("no event")); err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	p := begin(t, dir, "NATS_URL="+server.URL, "ROLLCALL_SNAPSHOT_INTERVAL=1h")
	p.says("ready", "place")
	if code := p.stop(syscall.SIGTERM); code != 0 {
		t.Errorf("exit code %d", code)
	}
	if said := p.log.String(); strings.Contains(said, "last snapshot not written") {
		t.Errorf("the last snapshot was not written:\n%s", said)
	}
	if place := serve(t, dir, "NATS_URL="+server.URL).says("snapshot loaded", "place"); place != fmt.Sprint(n) {
		t.Errorf("the last snapshot is of place %s, want %d", place, n)
	}
}
