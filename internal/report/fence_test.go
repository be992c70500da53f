package report

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// fenced returns two publishers of the same stream, each with a fence.
func fenced(t *testing.T, r *roster.Roster) (a, b *Publisher, passive *[2]atomic.Bool) {
	t.Helper()
	a, nc := newPublisher(t, r)
	a.Reports = makeStream(t, a).CachedInfo().Config.Name
	config := a.PublisherConfig
	config.Registry = prometheus.NewPedanticRegistry()
	config.JetStream = kit.JetStream(t, kit.Conn(t, nc.ConnectedUrl()))
	b = NewPublisher(config)
	passive = new([2]atomic.Bool)
	for i, p := range []*Publisher{a, b} {
		p.Fence = func(send func()) error {
			if passive[i].Load() {
				return errors.New("another process is active")
			}
			send()
			return nil
		}
	}
	return a, b, passive
}

// TestFence: a process that is not the active one publishes nothing, and that is no failure;
// when it becomes the active one it publishes a report, even if it has published it before.
func TestFence(t *testing.T) {
	r := kit.Seed()
	a, b, passive := fenced(t, r)
	passive[1].Store(true)
	a.tick(t.Context())
	b.tick(t.Context())
	if ok, failed, _ := results(b); ok != 0 || failed != 0 {
		t.Errorf("the passive one: %v reports, %v failures", ok, failed)
	}
	if ok, _, _ := results(a); ok != 1 {
		t.Errorf("the active one: %v reports", ok)
	}
	passive[0].Store(true)
	passive[1].Store(false)
	run(t, b)
	kit.Eventually(t, func() bool { ok, _, _ := results(b); return ok == 1 }, "the new active one publishes")
}

// TestFailsNoMore: one whose last report failed, and that is not the active one any more, does
// not say that it fails.
func TestFailsNoMore(t *testing.T) {
	p, _, _ := fenced(t, kit.Seed())
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error)
	if err := p.JetStream.DeleteStream(ctx, p.Reports); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- p.Run(ctx) }()
	kit.Eventually(t, func() bool { return testutil.ToFloat64(p.metrics.failing) == 1 }, "reports fail")
	end()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if _, err := p.Failing(); err != nil || testutil.ToFloat64(p.metrics.failing) != 0 {
		t.Errorf("it still says that reports fail: %v", err)
	}
}

// TestLatePage: what a process publishes when another has become the active one meanwhile is
// refused by the stream, even if it still takes itself for it; what that other one publishes
// is stored.
func TestLatePage(t *testing.T) {
	r := kit.Seed()
	a, b, _ := fenced(t, r)
	a.tick(t.Context())
	b.tick(t.Context())
	stream, err := a.JetStream.Stream(t.Context(), a.Reports)
	if err != nil {
		t.Fatal(err)
	}
	want := stored(t, stream)
	kit.Feed(r, roster.Event{Date: 17e17, Type: roster.Login, Machine: "web9", Session: roster.Session{User: "kim", ID: "1"}})
	_, err = a.publish(t.Context())
	if err == nil || !strings.Contains(err.Error(), "wrong last sequence") {
		t.Errorf("the late page: %v", err)
	}
	if got := stored(t, stream); got.ID != want.ID {
		t.Errorf("report %s is stored, want %s", got.ID, want.ID)
	}
	b.tick(t.Context())
	if ok, failed, _ := results(b); ok != 2 || failed != 0 {
		t.Errorf("the other one: %v reports, %v failures", ok, failed)
	}
	// One that has lost an answer, and is still the active one, publishes again at the next
	// interval.
	b.last = new(uint64)
	kit.Feed(r, roster.Event{Date: 17e17 + 1, Type: roster.Login, Machine: "web9", Session: roster.Session{User: "lane", ID: "2"}})
	b.tick(t.Context())
	b.tick(t.Context())
	if ok, failed, _ := results(b); ok != 3 || failed != 1 {
		t.Errorf("after an answer was lost: %v reports, %v failures", ok, failed)
	}
}
