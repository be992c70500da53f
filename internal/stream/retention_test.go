package stream

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// flow publishes a message every few milliseconds until the test ends, and
// returns the number of the last one.
func (s *setup) flow(from int) *atomic.Int64 {
	var last atomic.Int64
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := from; ctx.Err() == nil; i++ {
			if _, err := s.js.Publish(ctx, "events", fmt.Appendf(nil, "message %d", i)); err == nil {
				last.Store(int64(i))
			}
			sleep(ctx, 10*time.Millisecond)
		}
	}()
	s.t.Cleanup(func() { stop(); <-done })
	return &last
}

// awaitKeptUp waits until the reader has read the last message stored so far, and
// checks that it lost nothing after the first message that it read.
func (r *run) awaitKeptUp(last *atomic.Int64) {
	r.t.Helper()
	end := fmt.Sprintf("message %d", last.Load())
	r.await(end)
	kit.Eventually(r.t, r.CaughtUp, "caught up")
	r.mu.Lock()
	defer r.mu.Unlock()
	var first int
	if _, err := fmt.Sscanf(r.got[0], "message %d", &first); err != nil {
		r.t.Fatal(err)
	}
	for i, got := range r.got {
		if want := fmt.Sprintf("message %d", first+i); got != want {
			r.t.Fatalf("read %q, want %q: something was lost after reading had begun", got, want)
		}
	}
	if r.caughtUpEarly {
		r.t.Error("caught up before anything was read")
	}
}

// TestRetentionAtWork: behind a stream that loses its oldest message with each new one,
// a reader soon reaches the end: without a position, from an old one, and after an
// outage. Once it has read a message it skips none.
func TestRetentionAtWork(t *testing.T) {
	for name, limit := range map[string]func(*jetstream.StreamConfig){
		"max_msgs": func(c *jetstream.StreamConfig) { c.MaxMsgs = 30 },
		"max_age":  func(c *jetstream.StreamConfig) { c.MaxAge, c.Duplicates = 400*time.Millisecond, 200*time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newSetup(t, limit)
			s.publish(1, 10)
			r := s.read(roster.Position{})
			kit.Eventually(t, r.CaughtUp, "caught up")
			old, _ := r.end()
			last := s.flow(11)
			kit.Eventually(t, func() bool {
				info, err := s.stream.Info(t.Context())
				return err == nil && info.State.FirstSeq > 40
			}, "the stream has lost its beginning")
			for from, at := range map[string]roster.Position{"no position": {}, "an old position": old} {
				r := s.read(at)
				r.awaitKeptUp(last)
				t.Logf("from %s: lost %v", from, r.missing)
				if at, _ := r.end(); at.Proof.Stream == "" || len(r.missing) == 0 {
					t.Errorf("from %s: at %+v, lost %v", from, at, r.missing)
				}
			}
			r = s.read(roster.Position{})
			r.awaitKeptUp(last)
			if err := r.source.reconnect(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second) // an outage, in which messages are lost
			r.await(fmt.Sprintf("message %d", last.Load()))
		})
	}
}
