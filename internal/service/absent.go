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

// absent keeps track of streams that somebody has deleted.
type absent struct {
	gauge *prometheus.GaugeVec
	made  *prometheus.CounterVec
	last  atomic.Pointer[map[string]bool] // by what they are for
	why   atomic.Pointer[error]           // why they cannot be recreated; nil: no reason known
	anew  sync.Map                        // when each was last recreated
}

// toldFor is how long status shows that a stream was deleted and recreated; the alert
// lasts as long.
const toldFor = 15 * time.Minute

// confirmAfter is how long to wait before asking again for a stream that is missing.
const confirmAfter = time.Second

func newAbsent(reg prometheus.Registerer) *absent {
	a := &absent{
		gauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "rollcall_stream_missing",
			Help: "1 while a stream that rollcall needs is missing, else 0.",
		}, []string{"stream"}),
		made: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "rollcall_streams_made_total",
			Help: "Streams of reports and of dead letters that were recreated after somebody had deleted them, since the process began. For the stream of events see rollcall_incarnations_total.",
		}, []string{"stream"}),
	}
	reg.MustRegister(a.gauge, a.made)
	for _, role := range upkept {
		a.made.WithLabelValues(role)
	}
	a.note(nil)
	return a
}

// note records which streams are missing.
func (a *absent) note(missing map[string]bool) {
	for _, role := range natsconn.StreamRoles() {
		value := 0.0
		if missing[role] {
			value = 1
		}
		a.gauge.WithLabelValues(role).Set(value)
	}
	a.last.Store(&missing)
	if len(missing) == 0 {
		a.why.Store(nil)
	}
}

// is reports whether a stream is missing.
func (a *absent) is(role string) bool { return (*a.last.Load())[role] }

// cannot records why missing streams cannot be recreated; nil: they were.
func (a *absent) cannot(err error) {
	if err == nil {
		a.why.Store(nil)
		return
	}
	a.why.Store(&err)
}

// reason returns ": " and why missing streams cannot be recreated; "" if that is not
// known.
func (a *absent) reason() string {
	if why := a.why.Load(); why != nil {
		return ": " + (*why).Error()
	}
	return ""
}

// state describes what happened to a stream; "" if nothing did.
func (a *absent) state(role string) string {
	if a.is(role) {
		return "the stream is missing, and could not be made yet" + a.reason()
	}
	if at, ok := a.anew.Load(role); ok && time.Since(at.(time.Time)) < toldFor {
		return "the stream was deleted, and made anew at " + at.(time.Time).UTC().Format(time.RFC3339) + ": what it had is gone"
	}
	return ""
}

// remake recreates the streams that are missing when asked for twice. The stream of
// events is left to the reader, which knows what that means for the position.
func (m *monitor) remake(ctx context.Context) {
	missing, err := m.streams.Missing(ctx, m.other)
	if err != nil {
		return // NATS is down or does not answer: other checks show that
	}
	if len(missing) > 0 && pause(ctx, confirmAfter) {
		if missing, err = m.streams.Missing(ctx, m.other); err != nil {
			return
		}
	}
	m.absent.note(missing)
	lacking := slices.DeleteFunc(slices.Clone(upkept), func(role string) bool { return !missing[role] })
	if len(lacking) > 0 {
		m.makeAnew(ctx, lacking)
	}
}

// upkept are the streams that the monitor recreates.
var upkept = []string{natsconn.RoleReports, natsconn.RoleDeadLetters}

func (m *monitor) makeAnew(ctx context.Context, lacking []string) {
	m.log.Error("streams are missing, with all that they had: making them", "streams", lacking)
	if _, err := natsconn.Prepare(ctx, m.other, m.streams, m.log); err != nil {
		if ctx.Err() == nil {
			m.absent.cannot(err)
			m.log.Error("streams that are missing cannot be made", "streams", lacking, "err", err)
		}
		return
	}
	for _, role := range lacking {
		m.absent.made.WithLabelValues(role).Inc()
		m.absent.anew.Store(role, time.Now())
	}
	m.absent.note(nil)
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
