// Package changes publishes who arrives on a machine and who leaves it, as it
// happens.
//
// About once a second, it publishes one message for each machine that changed: who
// arrived, who left, and what reports show of it now. Every ten seconds a beat lists the
// machines that fell silent, that were heard again, and that reports no longer show.
//
// These are core NATS messages, neither stored nor acknowledged, so a watcher must be able
// to detect that it missed one. All messages are numbered. Each change names the place of
// its machine's previous change. A beat names the place after which every change is
// published: earlier ones may have been published by another process, or not at all. If
// the publisher could not publish all changes (the connection was lost, or there were too
// many at once), it restarts at the current place, with a beat. So the fold never waits,
// memory is bounded, and no change is dropped silently.
package changes

import (
	"cmp"
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
	// CaughtUp reports whether the roster has read everything that the stream had
	// when the service started. Before that, nothing is published.
	CaughtUp func() bool
	// Stale reports that the state of the stream is unknown. Then no beats are
	// published, so that watchers notice that changes may be missing. nil: never.
	Stale func() bool
	// Fence is set if one of several processes publishes, the active one. It calls send
	// while this process is it, else it returns why this one may not publish.
	Fence    func(send func()) error
	Conn     *nats.Conn
	Subjects rollcallv1.Subjects
	// Instance identifies this process in the messages.
	Instance string
	// Silent returns the function that reports whether a machine that was last heard at
	// some time, and lists so often who is on, is silent at a moment; nil: none is.
	Silent func(at time.Time) func(heard roster.Time, every time.Duration) bool
	// Interval is how long a machine's changes are collected into one message; 0: a
	// second. Beat is how often a beat is published; 0: ten seconds.
	Interval, Beat time.Duration
	Log            *slog.Logger
	Registry       prometheus.Registerer
}

// Publisher publishes the changes of a roster.
type Publisher struct {
	Config
	metrics *publisherMetrics
	feed    *roster.Feed

	number     uint64 // of the last message
	silence    silence
	since      uint64   // the place from which on changes are published
	previous   []uint64 // by the machine's number: the place of its last change
	reconnects uint64   // of the connection, when last checked
	missed     bool     // some changes were not published
	anew       bool     // of some of them nothing is known, and numbers may have changed
	lastBeat   time.Time
}

const (
	defaultInterval = time.Second
	defaultBeat     = 10 * time.Second
	// startPoll is how often to check whether the roster has caught up.
	startPoll = 50 * time.Millisecond
	// maxTransitions bounds the arrivals and departures buffered per interval; when
	// the buffer is half full, they are published early.
	maxTransitions = 1 << 18
	// headerReserve is the part of a message's limit reserved for headers that
	// forwarders add.
	headerReserve = 512
)

// NewPublisher returns a publisher and registers its metrics.
func NewPublisher(c Config) *Publisher {
	if c.Interval == 0 {
		c.Interval = defaultInterval
	}
	if c.Beat == 0 {
		c.Beat = defaultBeat
	}
	if c.Silent == nil {
		c.Silent = func(time.Time) isSilent { return func(roster.Time, time.Duration) bool { return false } }
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
// returns nil. It may be called again: changes begin anew then, with a beat.
func (p *Publisher) Run(ctx context.Context) error {
	if !p.awaitCaughtUp(ctx) {
		return nil
	}
	p.feed = p.Roster.OpenFeed(maxTransitions)
	defer p.feed.Close()
	p.missed = true // so the first tick begins with a beat
	p.tick(ctx)
	ticker := time.NewTicker(p.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-p.feed.HalfFull():
		case <-ticker.C:
		}
		p.tick(ctx)
	}
}

// awaitCaughtUp returns false if the context is done first.
func (p *Publisher) awaitCaughtUp(ctx context.Context) bool {
	ticker := time.NewTicker(startPoll)
	defer ticker.Stop()
	//guard:false "a replay is not published as changes" TestPublish
	for !p.CaughtUp() {
		select {
		case <-ctx.Done():
			return false
		case <-ticker.C:
		}
	}
	return ctx.Err() == nil
}

// tick publishes what changed, or restarts after changes were missed.
func (p *Publisher) tick(ctx context.Context) {
	place, complete := p.feed.Take()
	p.anew = p.anew || !complete
	switch reconnects, passive := p.Conn.Stats().Reconnects, p.passive(); {
	//guard:false "a process that is not the active one publishes no change" TestFence
	case passive != nil:
		p.recordMissed(passive)
	//guard:false "no change is sent long after it happened" TestNotSentLate
	case !p.Conn.IsConnected():
		// The connection would buffer what is published now, and send it late.
		p.recordMissed(fmt.Errorf("the connection to NATS is %v", p.Conn.Status()))
	//guard:false "watchers notice changes lost with a connection" TestReconnect
	case reconnects != p.reconnects:
		// What was published just before the connection broke may be lost.
		p.recordMissed(errors.New("the connection to NATS was lost"))
		p.restart(place)
	//guard:false "no change is dropped silently" TestTooManyChanges
	case !complete:
		p.recordMissed(fmt.Errorf("more than %d arrivals and departures at once, or machines evicted", maxTransitions))
		p.restart(place)
	case p.missed:
		p.restart(place)
	default:
		p.publish(ctx, place)
	}
}

// passive returns why this process may not publish; nil: it may.
func (p *Publisher) passive() error {
	if p.Fence == nil {
		return nil
	}
	return p.Fence(func() {})
}

// emit publishes a message, unless this process may not any more.
func (p *Publisher) emit(subject string, data []byte) (err error) {
	//guard:false "a process that is not the active one any more sends no change" TestFencedOff
	if p.Fence != nil {
		refused := p.Fence(func() { err = p.Conn.Publish(subject, data) })
		return cmp.Or(refused, err)
	}
	return p.Conn.Publish(subject, data)
}

// recordMissed counts and logs that changes were not published.
func (p *Publisher) recordMissed(why error) {
	if p.missed {
		return
	}
	p.missed = true
	p.metrics.missed.Inc()
	p.Log.Warn("changes not published; watchers will resynchronise", "err", why)
}

// restart starts to publish the changes after a place, with a beat.
func (p *Publisher) restart(place uint64) {
	p.reconnects = p.Conn.Stats().Reconnects
	p.since, p.missed = place, false
	clear(p.previous)
	//guard:false "no machine is listed under the name of another" TestSilenceRestart
	if p.anew {
		p.silence.forget()
	}
	p.anew = false
	p.beat(place, true)
}

// beat publishes a beat with what a pass over the machines finds; see pass. Its time is
// after the pass: a watcher ignores what it tells of a machine that was reported later.
func (p *Publisher) beat(place uint64, all bool) {
	p.lastBeat = time.Now()
	s := &p.silence
	s.pass(p.Roster, p.Silent(p.lastBeat), all)
	beat := api.Beat{
		When: time.Now().UTC(), Place: place, Since: p.since, Instance: p.Instance,
		Silent: s.fell, Heard: s.heard, Gone: s.gone, SilentMachines: s.count,
	}
	for _, page := range pagesOf(beat, p.maxBytes()) {
		page.Number = p.nextNumber()
		data, err := json.Marshal(&page)
		if err == nil {
			err = p.emit(p.Subjects.Changes(), data)
		}
		if err != nil {
			p.recordMissed(err)
			return
		}
	}
	s.fell, s.heard, s.gone = nil, nil, nil
}

// maxBytes returns how long a message may be.
func (p *Publisher) maxBytes() int { return int(p.Conn.MaxPayload()) - headerReserve }

// nextNumber returns the number of the next message.
func (p *Publisher) nextNumber() uint64 {
	p.number++
	return p.number
}

// publish publishes the changes of the last Take, up to a place. If a beat is
// due, it comes first.
func (p *Publisher) publish(ctx context.Context, place uint64) {
	//guard:drop "(p.Stale == nil || !p.Stale())" "no beats while the stream's state is unknown" TestNoBeatsWhileStale
	//guard:false "beats show that the service is alive" TestBeats
	if time.Since(p.lastBeat) >= p.Beat && (p.Stale == nil || !p.Stale()) {
		p.beat(place, false)
	}
	when := time.Now().UTC()
	is := p.Silent(when)
	for change := range p.feed.Changes() {
		if ctx.Err() != nil {
			return
		}
		if err := p.send(&change, place, when, is); err != nil {
			p.recordMissed(err)
			return
		}
	}
}

// send publishes the change of one machine.
func (p *Publisher) send(c *roster.Change, place uint64, when time.Time, is isSilent) error {
	if n := int(c.Number) + 1; n > len(p.previous) {
		p.previous = append(p.previous, make([]uint64, n-len(p.previous))...)
	}
	previous := &p.previous[c.Number]
	message := api.Change{
		Machine: c.Machine, When: when, Place: place, Previous: max(*previous, p.since),
		Came: c.Arrived, Left: c.Left, Users: c.Users,
		Instance: p.Instance, Number: p.nextNumber(),
		Heard: c.Heard.Time(), Changed: c.Changed, Silent: is(c.Heard, c.Every),
		Incomplete: c.Incomplete, Missing: c.Missing,
	}
	p.silence.tell(c.Number, message.Silent)
	data, err := encode(&message, p.maxBytes())
	if err != nil {
		return fmt.Errorf("encoding change: %w", err)
	}
	if err := p.emit(p.Subjects.ChangesOf(c.Machine), data); err != nil {
		return fmt.Errorf("publishing change: %w", err)
	}
	//guard:drop "watchers notice a missed change" TestPublish
	*previous = place
	p.metrics.published.Inc()
	return nil
}
