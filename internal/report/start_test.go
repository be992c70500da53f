package report

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/test/kit"
)

// TestReportedOnceCaughtUp: the first report is published as soon as the roster has
// caught up, however long the interval.
func TestReportedOnceCaughtUp(t *testing.T) {
	nc := kit.Conn(t, kit.StartServer(t).URL)
	var caughtUp atomic.Bool
	var asked atomic.Int64
	s := source(kit.Seed())
	s.CaughtUp = func() bool { asked.Add(1); return caughtUp.Load() }
	p := NewPublisher(PublisherConfig{
		Source: s, JetStream: kit.JetStream(t, nc), Subjects: subjects, Interval: time.Hour,
		Log: kit.Logger(t), Registry: prometheus.NewPedanticRegistry(),
	})
	makeStream(t, p)
	messages := subscribe(t, nc)
	run(t, p)
	kit.Eventually(t, func() bool { return asked.Load() > 0 }, "the publisher has looked whether it may")
	caughtUp.Store(true)
	if got := decode(t, next(t, messages).Data); got.Place != 6 {
		t.Errorf("a report of place %d", got.Place)
	}
}
