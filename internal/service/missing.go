package service

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/natsconn"
)

// missingStreams keeps track of streams that somebody has deleted.
type missingStreams struct {
	gauge       *prometheus.GaugeVec
	recreated   *prometheus.CounterVec
	last        atomic.Pointer[map[string]bool] // by role
	failure     atomic.Pointer[error]           // why they cannot be recreated; nil: no reason known
	recreatedAt sync.Map                        // when each was last recreated
}

// recentFor is how long the status shows that a stream or the data folder was
// recreated; the alerts last as long.
const recentFor = 15 * time.Minute

// confirmAfter is the wait before a missing stream is requested a second time.
const confirmAfter = time.Second

func newMissingStreams(reg prometheus.Registerer) *missingStreams {
	a := &missingStreams{
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollcall_stream_missing",
			Help: "1 while a stream that rollcall needs is missing, else 0.",
		}, []string{"stream"}),
		recreated: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_streams_made_total",
			Help: "Streams of reports and of dead letters that were recreated after somebody had deleted them, since the process began. For the stream of events see rollcall_incarnations_total.",
		}, []string{"stream"}),
	}
	reg.MustRegister(a.gauge, a.recreated)
	for _, role := range recreatedRoles {
		a.recreated.WithLabelValues(role)
	}
	a.record(nil)
	return a
}

// record records which streams are missing.
func (m *missingStreams) record(missing map[string]bool) {
	for _, role := range natsconn.StreamRoles() {
		value := 0.0
		if missing[role] {
			value = 1
		}
		m.gauge.WithLabelValues(role).Set(value)
	}
	m.last.Store(&missing)
	if len(missing) == 0 {
		m.failure.Store(nil)
	}
}

// isMissing reports whether a stream is missing.
func (m *missingStreams) isMissing(role string) bool { return (*m.last.Load())[role] }

// setFailure records why missing streams cannot be recreated; nil: they were.
func (m *missingStreams) setFailure(err error) {
	if err == nil {
		m.failure.Store(nil)
		return
	}
	m.failure.Store(&err)
}

// reason returns ": " and why missing streams cannot be recreated; "" if that is unknown.
func (m *missingStreams) reason() string {
	if why := m.failure.Load(); why != nil {
		return ": " + (*why).Error()
	}
	return ""
}

// state describes what happened to a stream; "" if nothing did.
func (m *missingStreams) state(role string) string {
	if m.isMissing(role) {
		return "the stream is missing, and could not be recreated yet" + m.reason()
	}
	if at, ok := m.recreatedAt.Load(role); ok && time.Since(at.(time.Time)) < recentFor {
		return "the stream was deleted, and recreated at " + at.(time.Time).UTC().Format(time.RFC3339) + ": its messages are lost"
	}
	return ""
}

// recreateMissing recreates the streams that are missing in two answers. The stream of
// events is left to the reader, which has to adapt its position.
func (m *monitor) recreateMissing(ctx context.Context) {
	missing, err := m.streams.Missing(ctx, m.other)
	if err != nil {
		return // NATS is down or does not answer, which other checks show
	}
	if len(missing) > 0 && pause(ctx, confirmAfter) {
		if missing, err = m.streams.Missing(ctx, m.other); err != nil {
			return
		}
	}
	m.missing.record(missing)
	absent := slices.DeleteFunc(slices.Clone(recreatedRoles), func(role string) bool { return !missing[role] })
	if len(absent) > 0 {
		m.recreate(ctx, absent)
	}
}

// recreatedRoles are the streams that the monitor recreates.
var recreatedRoles = []string{natsconn.RoleReports, natsconn.RoleDeadLetters}

func (m *monitor) recreate(ctx context.Context, absent []string) {
	m.log.Error("streams are missing, with all their messages: recreating them", "streams", absent)
	if _, err := natsconn.Prepare(ctx, m.other, m.streams, m.log); err != nil {
		if ctx.Err() == nil {
			m.missing.setFailure(err)
			m.log.Error("missing streams cannot be recreated", "streams", absent, "err", err)
		}
		return
	}
	for _, role := range absent {
		m.missing.recreated.WithLabelValues(role).Inc()
		m.missing.recreatedAt.Store(role, time.Now())
	}
	m.missing.record(nil)
}

// pause waits, and returns false if the context is done first.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
