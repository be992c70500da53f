package service

import (
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/natsconn"
)

// links is the state of the two connections to NATS, from their handlers: a connection
// itself may take seconds to answer while it reconnects.
type links struct {
	events link // for reading events
	other  link // for all else
}

// link is one of them.
type link struct {
	conn atomic.Pointer[nats.Conn] // nil: not connected yet
	// lost counts disconnects. What was learned before one says nothing about the time
	// after it.
	lost atomic.Uint64
	away atomic.Pointer[time.Time] // down since; nil: it is up
	why  atomic.Pointer[string]    // why it does not reconnect; nil: not known
}

// connected reports whether the connection is up. It never blocks.
func (l *link) connected() bool { return l.conn.Load() != nil && l.away.Load() == nil }

// options returns the options of the connection; back is called after a reconnect.
func (l *link) options(o natsconn.Options, back func()) []nats.Option {
	failed := func(err error) {
		why := o.Explain(err)
		l.why.Store(&why)
	}
	return []nats.Option{
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { failed(err) }),
		// A login refused during a reconnect is reported by the library only here.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !l.connected() {
				failed(err)
			}
		}),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { l.goes() }),
		nats.ReconnectHandler(func(*nats.Conn) {
			l.comes()
			back()
		}),
	}
}

func (l *link) goes() {
	now := time.Now()
	l.lost.Add(1)
	l.why.Store(nil)
	l.away.Store(&now)
}

func (l *link) comes() { l.away.Store(nil) }

// made reports whether both have been connected.
func (l *links) made() bool { return l.events.conn.Load() != nil && l.other.conn.Load() != nil }

// state reports whether both are up, and describes those that are not.
func (l *links) state() (holds bool, text string) {
	if !l.made() {
		return false, "connecting"
	}
	var away, reasons []string
	for _, c := range l.named() {
		if since := c.link.away.Load(); since != nil {
			away = append(away, c.name+" since "+since.UTC().Format(time.RFC3339))
			if why := c.link.why.Load(); why != nil && !slices.Contains(reasons, *why) {
				reasons = append(reasons, *why)
			}
		}
	}
	if len(away) == 0 {
		return true, "CONNECTED"
	}
	text = "RECONNECTING: " + strings.Join(away, ", ")
	if len(reasons) > 0 {
		text += ": " + strings.Join(reasons, "; ")
	}
	return false, text
}

type namedLink struct {
	name string
	link *link
}

func (l *links) named() []namedLink {
	return []namedLink{{"events", &l.events}, {"other", &l.other}}
}

// register registers the gauges, which are there from the start, before NATS was ever
// reached.
func (l *links) register(reg prometheus.Registerer) {
	for _, c := range l.named() {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "rollcall_nats_connected",
			Help:        "1 while the connection to NATS is up, else 0: events (for reading events), other (for reports, changes, dead letters and questions).",
			ConstLabels: prometheus.Labels{"connection": c.name},
		}, func() float64 {
			if c.link.connected() {
				return 1
			}
			return 0
		}))
	}
}
