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

// keepsUp waits until the reader has come to the end of what was stored when it
// was asked, and checks that it lost nothing since it has read anything.
func (r *run) keepsUp(last *atomic.Int64) {
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
			r.t.Fatalf("%q is read, want %q: something was lost after reading had begun", got, want)
		}
	}
	if r.early {
		r.t.Error("caught up before anything was read")
	}
}

// TestRetentionAtWork: behind a stream that loses its oldest message with each
// new one a reader comes to the end, at once, from no position, from an old one,
// and after an outage; and from its first message on it reads all there is.
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
				r.keepsUp(last)
				t.Logf("from %s: lost %v", from, r.missing)
				if at, _ := r.end(); at.Proof.Stream == "" || len(r.missing) == 0 {
					t.Errorf("from %s: at %+v, lost %v", from, at, r.missing)
				}
			}
			r = s.read(roster.Position{})
			r.keepsUp(last)
			if err := r.source.reconnect(); err != nil {
				t.Fatal(err)
			}
			<-time.After(time.Second) // an outage, and what is lost in it
			r.await(fmt.Sprintf("message %d", last.Load()))
		})
	}
}
