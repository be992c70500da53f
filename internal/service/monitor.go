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
	absent     *absent

	seen atomic.Pointer[sighting]
	soon chan struct{} // poll at once
	// diskBack is called when the server's disk has space again.
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

// The interval of polling the streams and of probing the disk, the time-out of an answer,
// and the age up to which an answer counts as the present state of the stream.
const (
	monitorEvery = 10 * time.Second
	diskEvery    = 30 * time.Second
	askWithin    = 5 * time.Second
	freshFor     = 30 * time.Second
)

func newMonitor(streams natsconn.Streams, l *link, events, other jetstream.JetStream, log *slog.Logger, reg prometheus.Registerer) *monitor {
	return &monitor{
		streams: streams, link: l, events: events, other: other, log: log,
		durability: newDurability(streams, other, log, reg), obstacles: newObstacles(reg), absent: newAbsent(reg),
		soon: make(chan struct{}, 1), diskBack: func() {},
	}
}

// run polls until the context is done.
func (m *monitor) run(ctx context.Context) {
	var loops sync.WaitGroup
	defer loops.Wait()
	loops.Go(func() { repeat(ctx, monitorEvery, m.soon, m.ask) })
	loops.Go(func() { repeat(ctx, monitorEvery, nil, m.remake) })
	loops.Go(func() { repeat(ctx, diskEvery, nil, m.tryDisk) })
	loops.Go(func() { repeat(ctx, lookEvery, nil, m.durability.look) })
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

// hurry makes the monitor poll at once.
func (m *monitor) hurry() {
	select {
	case m.soon <- struct{}{}:
	default:
	}
}

// ask polls the stream of events. If that fails, the last sighting stays, and ages.
func (m *monitor) ask(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	lost := m.link.lost.Load()
	if stream, err := m.events.Stream(ctx, m.streams.Events); err == nil {
		m.note(stream.CachedInfo(), lost)
	}
}

// note records a sighting of the stream of events.
func (m *monitor) note(info *jetstream.StreamInfo, lost uint64) {
	m.seen.Store(&sighting{
		at: time.Now(), lost: lost, created: roster.TimeOf(info.Created), sequence: info.State.LastSeq, info: info,
	})
	m.obstacles.note(info, lost)
}

// current reports whether the present state of the stream of events is known: the
// connection is up, and the stream was seen recently, and since the last time the
// connection was lost.
func (m *monitor) current() bool {
	seen := m.seen.Load()
	//guard:drop m.link.lost "what was seen before an outage counts no more" TestOutOfSight
	return m.link.connected() && seen != nil && seen.lost == m.link.lost.Load() && time.Since(seen.at) < freshFor
}

// unseen describes a stream of events that is missing or has not been seen for too long;
// "" while it is seen, and while the connection is down, which other checks show.
func (m *monitor) unseen() string {
	switch {
	case m.absent.is(natsconn.RoleEvents):
		return "MISSING: somebody has deleted it, and it could not be made yet" + m.absent.reason()
	case m.link.connected() && time.Since(m.seen.Load().at) >= freshFor:
		return "OUT OF SIGHT since " + m.seen.Load().at.UTC().Format(time.RFC3339) + ": NATS does not answer for it"
	}
	return ""
}

// waiting is how many messages the stream had after a position, by the last sighting.
func (m *monitor) waiting(at roster.Position) uint64 {
	seen := m.seen.Load()
	if seen == nil || seen.created != at.Proof.Created || seen.sequence < at.Sequence() {
		return 0
	}
	return seen.sequence - at.Sequence()
}

// tryDisk probes whether the disk of the stream of events has space. If the number of
// consumers is limited, it leaves the last ones to the reader and to questions.
func (m *monitor) tryDisk(ctx context.Context) {
	seen := m.seen.Load()
	if !m.current() || seen.info.Config.Storage != jetstream.FileStorage {
		return
	}
	if most := seen.info.Config.MaxConsumers; most > 0 && seen.info.State.Consumers+1 >= most {
		return
	}
	if was := m.obstacles.tried(natsconn.ProbeDisk(ctx, m.other, m.streams.Events), seen); was {
		m.diskBack()
	}
}
