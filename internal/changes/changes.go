// Package changes publishes who arrives on a machine and who leaves it, as it
// happens.
//
// About once a second, each machine whose users changed gets one message: who
// arrived, who left, who is on now. It is a plain NATS message, which nobody
// stores and nobody acknowledges, so a watcher must be able to see that it missed
// one. Each change names the place of its machine's previous change. A beat names
// the place from which on changes are published: earlier ones were published by
// another process, or not at all. When the publisher could not publish all
// changes (the connection was lost, too much came at once), it starts again from
// the current place, with a beat. So the fold never waits, nothing piles up, and
// nothing is dropped silently.
package changes

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// Config is what a Publisher needs.
type Config struct {
	Roster *roster.Roster
	// CaughtUp reports whether the roster has read everything that there was when
	// the service started. Before that, nothing is published.
	CaughtUp func() bool
	// Stale reports that the state of the stream is not known. Then no beats are
	// published, so that watchers see that no changes are. nil: never.
	Stale    func() bool
	Conn     *nats.Conn
	Subjects rollcallv1.Subjects
	// Interval is how long a machine's changes are collected into one message,
	// Beat how often a beat is published; 0: a second, ten seconds.
	Interval, Beat time.Duration
	Log            *slog.Logger
	Registry       prometheus.Registerer
}

// Publisher publishes the changes of a roster.
type Publisher struct {
	Config
	metrics  *publisherMetrics
	follower *roster.Feed

	since      uint64   // the place from which on changes are published
	previous   []uint64 // by the machine's number: the place of its last change
	reconnects uint64   // of the connection, when last checked
	missed     bool     // some changes were not published
	beaten     time.Time
}

const (
	defaultInterval = time.Second
	defaultBeat     = 10 * time.Second
	// startPoll is how often to check whether the roster has caught up.
	startPoll = 50 * time.Millisecond
	// room bounds the arrivals and departures buffered per interval; at half full
	// they are published early.
	room = 1 << 18
	// headers is the part of the largest message reserved for headers that others
	// add.
	headers = 512
)

// NewPublisher returns a publisher and registers its metrics.
func NewPublisher(c Config) *Publisher {
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Beat == 0 {
		c.Beat = defaultBeat
	}
	return &Publisher{Config: c, metrics: newPublisherMetrics(c.Registry)}
}

type publisherMetrics struct{ published, missed prometheus.Counter }

func newPublisherMetrics(reg prometheus.Registerer) *publisherMetrics {
	m := &publisherMetrics{
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_changes_total",
			Help: "Changes of machines published since the process began.",
		}),
		missed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "rollcall_changes_missed_total",
			Help: "Times that changes could not be published since the process began (disconnected from NATS, too many at once): watchers resynchronise.",
		}),
	}
	reg.MustRegister(m.published, m.missed)
	return m
}

// Run publishes from when the roster has caught up until the context is done. It
// returns nil.
func (p *Publisher) Run(ctx context.Context) error {
	if !p.awaitCaughtUp(ctx) {
		return nil
	}
	p.follower = p.Roster.OpenFeed(room)
	defer p.follower.Close()
	p.begin(p.Roster.Status().Position.Place)
	ticker := time.NewTicker(p.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.follower.HalfFull():
		case <-ticker.C:
		}
		p.tick(ctx)
	}
}

// awaitCaughtUp returns false if the context is done first.
func (p *Publisher) awaitCaughtUp(ctx context.Context) bool {
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	//guard:false "a replay is not told as news" TestPublish
	for !p.CaughtUp() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return ctx.Err() == nil
}

// tick publishes what changed, or starts again after changes were missed.
func (p *Publisher) tick(ctx context.Context) {
	place, complete := p.follower.Take()
	switch reconnects := p.Conn.Stats().Reconnects; {
	//guard:false "no change is sent long after it happened" TestNotSentLate
	case !p.Conn.IsConnected():
		// What is published now would be buffered, and sent late.
		p.miss(fmt.Errorf("the connection to NATS is %v", p.Conn.Status()))
	//guard:false "what a connection may have lost shows" TestAwayAndBack
	case reconnects != p.reconnects:
		// What was published just before the connection broke may be lost.
		p.miss(errors.New("the connection to NATS was away"))
		p.begin(place)
	//guard:false "nothing is dropped silently" TestTooMuch
	case !complete:
		p.miss(fmt.Errorf("more than %d comings and leavings at once", room))
		p.begin(place)
	case p.missed:
		p.begin(place)
	default:
		p.publish(ctx, place)
	}
}

// miss records and logs that changes were not published.
func (p *Publisher) miss(why error) {
	if p.missed {
		return
	}
	p.missed = true
	p.metrics.missed.Inc()
	p.Log.Warn("changes not published, who watches asks for the state again", "err", why)
}

// begin starts publishing the changes after a place.
func (p *Publisher) begin(place uint64) {
	p.reconnects = p.Conn.Stats().Reconnects
	p.since, p.missed = place, false
	clear(p.previous)
	p.beat(place)
}

// beat publishes a beat.
func (p *Publisher) beat(place uint64) {
	p.beaten = time.Now()
	data, err := json.Marshal(api.Beat{When: p.beaten.UTC(), Place: place, Since: p.since})
	if err == nil {
		err = p.Conn.Publish(p.Subjects.Changes(), data)
	}
	if err != nil {
		p.miss(err)
	}
}

// publish publishes the changes of the last Take, up to a place. If a beat is
// due, it comes first.
func (p *Publisher) publish(ctx context.Context, place uint64) {
	//guard:drop "(p.Stale == nil || !p.Stale())" "watchers see that nothing is told" TestNoBeatsWhileStale
	//guard:false "watchers hear that the service is there" TestBeats
	if time.Since(p.beaten) >= p.Beat && (p.Stale == nil || !p.Stale()) {
		p.beat(place)
	}
	when, most := time.Now().UTC(), int(p.Conn.MaxPayload())-headers
	for change := range p.follower.Changes() {
		if ctx.Err() != nil {
			return
		}
		if err := p.send(&change, place, when, most); err != nil {
			p.miss(err)
			return
		}
	}
}

// send publishes the change of one machine.
func (p *Publisher) send(c *roster.Change, place uint64, when time.Time, most int) error {
	if n := int(c.Number) + 1; n > len(p.previous) {
		p.previous = append(p.previous, make([]uint64, n-len(p.previous))...)
	}
	previous := &p.previous[c.Number]
	message := api.Change{
		Machine: c.Machine, When: when, Place: place, Previous: max(*previous, p.since),
		Came: c.Arrived, Left: c.Left, Users: c.Users,
	}
	data, err := encode(&message, most)
	if err != nil {
		return fmt.Errorf("encoding change: %w", err)
	}
	if err := p.Conn.Publish(p.Subjects.ChangesOf(c.Machine), data); err != nil {
		return fmt.Errorf("publishing change: %w", err)
	}
	//guard:drop "a change that was missed shows" TestPublish
	*previous = place
	p.metrics.published.Inc()
	return nil
}
