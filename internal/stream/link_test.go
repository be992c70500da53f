package stream

import (
	"context"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// A slow link lets about 1 MB a second through to the client, and what the client
// sends takes a while to arrive.
const (
	linkChunk   = 4 << 10
	linkPause   = 4 * time.Millisecond // after each chunk
	linkLatency = 100 * time.Millisecond
)

// link connects a client over a slow link, and counts the bytes that reach
// it.
type link struct{ received atomic.Int64 }

// Dial implements [nats.CustomDialer].
func (l *link) Dial(network, address string) (net.Conn, error) {
	conn, err := net.Dial(network, address)
	if err != nil {
		return nil, err
	}
	return &linkConn{conn, l}, nil
}

type linkConn struct {
	net.Conn
	link *link
}

func (c *linkConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b[:min(len(b), linkChunk)])
	c.link.received.Add(int64(n))
	time.Sleep(linkPause)
	return n, err
}

func (c *linkConn) Write(b []byte) (int, error) {
	time.Sleep(linkLatency)
	return c.Conn.Write(b)
}

// TestSlowLink: the answer with the stream's state queues behind everything pulled
// before it. That is one batch at most, and no more bytes than the largest message may
// have.
func TestSlowLink(t *testing.T) {
	for name, c := range map[string]struct{ messages, size, pulled int }{
		"small messages": {4000, 1 << 10, maxBatch * 1 << 10},
		"large messages": {64, 64 << 10, server.MAX_PAYLOAD_SIZE + 64<<10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t)
			for range c.messages {
				if _, err := s.js.Publish(t.Context(), "events", make([]byte, c.size)); err != nil {
					t.Fatal(err)
				}
			}
			most := c.pulled + c.pulled/4 // plus the subjects and earlier answers
			if got := s.bytesBeforeFirstBatch(); got == 0 || got > most {
				t.Errorf("%d bytes received before the first batch, want at most %d", got, most)
			}
		})
	}
}

// bytesBeforeFirstBatch returns how many bytes reach a reader over a slow link
// before it folds its first batch, for which it has to know the state of the
// stream. It returns 0 if the reader never gets that far.
func (s *setup) bytesBeforeFirstBatch() (bytes int) {
	s.t.Helper()
	slow := new(link)
	reader, err := New(Config{
		Conn: kit.Conn(s.t, s.URL, nats.SetCustomDialer(slow)), Stream: name, Log: kit.Logger(s.t),
		Registry: prometheus.NewRegistry(), Earlier: func() []roster.Position { return nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(s.t.Context(), time.Minute)
	defer stop()
	err = reader.Run(ctx, roster.Position{}, func(*Batch) {
		if bytes == 0 {
			bytes = int(slow.received.Load())
		}
		stop()
	})
	if err != nil {
		s.t.Error(err)
	}
	return bytes
}
