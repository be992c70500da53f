package natsconn

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// TestJetStreamLater: AwaitStreams waits for JetStream to be enabled, and reports
// that to the log and the caller.
func TestJetStreamLater(t *testing.T) {
	s := kit.StartServer(t, kit.WithoutJetStream)
	js := kit.JetStream(t, kit.Conn(t, s.URL))
	log, r := logger()
	reported, done := make(chan error, 100), make(chan error, 1)
	go func() {
		_, err := AwaitStreams(t.Context(), js, ourStreams(t), log, func(err error) { reported <- err })
		done <- err
	}()
	wantError(t, <-reported, true, s.URL, "no JetStream")
	s.Stop()
	s.Start(func(o *server.Options) { o.JetStream = true })
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !r.Has(`level=ERROR msg="JetStream is not available yet, retrying"`) {
		t.Errorf("the log says %s", r)
	}
}

// TestAwaitStreamsEnds: AwaitStreams ends with the context, and at once with an
// error that waiting cannot fix.
func TestAwaitStreamsEnds(t *testing.T) {
	js := kit.JetStream(t, kit.Conn(t, kit.StartServer(t, kit.WithoutJetStream).URL))
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := AwaitStreams(ctx, js, ourStreams(t), quiet(), func(error) { cancel() }); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	js = newJetStream(t)
	makeStream(t, js, jetstream.StreamConfig{Name: "ROLLCALL_EVENTS", Subjects: []string{"rollcall.events"}, NoAck: true})
	_, err := AwaitStreams(t.Context(), js, ourStreams(t), quiet(), func(err error) { t.Errorf("retries after: %v", err) })
	wantError(t, err, true, "no_ack")
}
