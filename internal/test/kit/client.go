package kit

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Conn connects to a server and closes the connection when the test ends. It
// reconnects for ever, with short waits; asynchronous errors go to the test's log.
func Conn(t testing.TB, url string, options ...nats.Option) *nats.Conn {
	t.Helper()
	closed := make(chan struct{})
	log := Logger(t)
	options = append([]nats.Option{
		nats.Name(t.Name()),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(20 * time.Millisecond),
		nats.ReconnectJitter(0, 0),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Info("nats", "err", err) }),
	}, options...)
	options = append(options, alsoWhenClosed(func() { close(closed) }))
	nc, err := nats.Connect(url, options...)
	if err != nil {
		t.Fatalf("connecting to NATS: %v", err)
	}
	t.Cleanup(func() {
		nc.Close()
		<-closed
	})
	return nc
}

// alsoWhenClosed adds a closed handler and keeps the test's own, if it has set one.
// It is the last callback of a connection, whose goroutines are ending by then.
func alsoWhenClosed(then func()) nats.Option {
	return func(o *nats.Options) error {
		before := o.ClosedCB
		o.ClosedCB = func(nc *nats.Conn) {
			if before != nil {
				before(nc)
			}
			then()
		}
		return nil
	}
}

// JetStream is the connection's JetStream.
func JetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatalf("opening JetStream: %v", err)
	}
	return js
}

// CreateStream creates a stream, even right after one with the same name was deleted:
// the server removes the old stream's files a little later, and until then refuses to
// create the new one.
func CreateStream(t testing.TB, js jetstream.JetStream, config jetstream.StreamConfig) jetstream.Stream {
	t.Helper()
	var made jetstream.Stream
	var err error
	await(func() bool {
		made, err = js.CreateStream(t.Context(), config)
		var api *jetstream.APIError
		return !errors.As(err, &api) || api.ErrorCode != jetstream.ErrorCode(server.JSStreamCreateErrF)
	}, deadline)
	if err != nil {
		t.Fatalf("creating stream %s: %v", config.Name, err)
	}
	return made
}
