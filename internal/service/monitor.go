package service

import (
	"context"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
)

// monitor polls the streams: somebody may change or delete them at any time, and the
// reader notices only what concerns the messages it reads.
type monitor struct {
	streams    natsconn.Streams
	link       *link               // of the connection over which events are read
	events     jetstream.JetStream // over that connection
	other      jetstream.JetStream
	log        *slog.Logger
	durability *durability
	obstacles  *obstacles
	missing    *missingStreams

	seen    atomic.Pointer[sighting]
	pollNow chan struct{} // has a value: poll at once
	// diskBack is called when the server's disk is writable again.
	diskBack func()
}

// sighting is the state of the stream of events when it was last seen.
type sighting struct {
	at       time.Time
	lost     uint64 // link.lost before the stream was asked for
	created  roster.Time
	sequence uint64 // of its last message
	info     *jetstream.StreamInfo
}

// The intervals of polling the streams and of probing the disk, the time-out of a poll,
// and how long its result counts as the present state of the stream.
const (
	pollInterval = 10 * time.Second
	diskInterval = 30 * time.Second
	pollTimeout  = 5 * time.Second
	freshFor     = 30 * time.Second
)

func newMonitor(streams natsconn.Streams, l *link, events, other jetstream.JetStream, log *slog.Logger, reg prometheus.Registerer) *monitor {
	m := &monitor{
		streams: streams, link: l, events: events, other: other, log: log,
		durability: newDurability(streams, other, log, reg), obstacles: newObstacles(reg), missing: newMissingStreams(reg),
		pollNow: make(chan struct{}, 1), diskBack: func() {},
	}
	reg.MustRegister(sourceProgress{m})
	return m
}

// run polls until the context is done.
func (m *monitor) run(ctx context.Context) {
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { repeat(ctx, pollInterval, m.pollNow, m.poll) })
	loops.Go(func() { repeat(ctx, pollInterval, nil, m.recreateMissing) })
	loops.Go(func() { repeat(ctx, diskInterval, nil, m.probeDisk) })
	loops.Go(func() { repeat(ctx, riskInterval, nil, m.durability.poll) })
}

// repeat calls do at every interval, and whenever soon has a value, until the context is
// done.
func repeat(ctx context.Context, every time.Duration, soon <-chan struct{}, do func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-soon:
		}
		do(ctx)
	}
}

// requestPoll makes the monitor poll the stream of events at once.
func (m *monitor) requestPoll() {
	select {
	case m.pollNow <- struct{}{}:
	default:
	}
}

// poll requests the state of the stream of events. If that fails, the last sighting
// stays.
func (m *monitor) poll(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, pollTimeout)
	defer cancel()
	lost := m.link.lost.Load()
	if stream, err := m.events.Stream(ctx, m.streams.Events); err == nil {
		m.record(stream.CachedInfo(), lost)
	}
}

// record records a sighting of the stream of events.
func (m *monitor) record(info *jetstream.StreamInfo, lost uint64) {
	m.seen.Store(&sighting{
		at: time.Now(), lost: lost, created: roster.TimeOf(info.Created), sequence: info.State.LastSeq, info: info,
	})
	m.obstacles.record(info, lost)
}

// current reports whether the present state of the stream of events is known: the
// connection is up, and the stream was seen recently and after the last disconnect.
func (m *monitor) current() bool {
	seen := m.seen.Load()
	//guard:drop m.link.lost "what was seen before an outage is stale" TestStale
	return m.link.connected() && seen != nil && seen.lost == m.link.lost.Load() && time.Since(seen.at) < freshFor
}

// notSeen describes a stream of events that is missing or has not been seen for too long;
// "" while it is seen, and while the connection is down, which other checks show.
func (m *monitor) notSeen() string {
	switch {
	case m.missing.isMissing(natsconn.RoleEvents):
		return "MISSING: somebody has deleted it, and it could not be recreated yet" + m.missing.reason()
	case m.link.connected() && time.Since(m.seen.Load().at) >= freshFor:
		return "UNKNOWN since " + m.seen.Load().at.UTC().Format(time.RFC3339) + ": NATS does not answer requests about it"
	}
	return ""
}

// waiting is how many messages the stream had after a position, at the last sighting.
func (m *monitor) waiting(at roster.Position) uint64 {
	seen := m.seen.Load()
	if seen == nil || seen.created != at.Proof.Created || seen.sequence < at.Sequence() {
		return 0
	}
	return seen.sequence - at.Sequence()
}

// probeDisk probes whether the disk of the stream of events is writable. If the number of
// consumers is limited, it leaves the last one to the reader or to questions.
func (m *monitor) probeDisk(ctx context.Context) {
	seen := m.seen.Load()
	if !m.current() || seen.info.Config.Storage != jetstream.FileStorage {
		return
	}
	if most := seen.info.Config.MaxConsumers; most > 0 && seen.info.State.Consumers+1 >= most {
		return
	}
	if back := m.obstacles.recordProbe(natsconn.ProbeDisk(ctx, m.other, m.streams.Events), seen); back {
		m.diskBack()
	}
}
