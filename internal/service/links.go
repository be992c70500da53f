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

// links is the state of the two connections to NATS, as reported to their handlers:
// asking a connection itself may block for seconds while it reconnects.
type links struct {
	events link // for reading events
	other  link // for everything else
}

// link is one of them.
type link struct {
	conn atomic.Pointer[nats.Conn] // nil: not connected yet
	// lost counts disconnects. What was seen before one may no longer hold after it.
	lost      atomic.Uint64
	downSince atomic.Pointer[time.Time] // down since; nil: it is up
	reason    atomic.Pointer[string]    // why it does not reconnect; nil: not known
}

// connected reports whether the connection is up. It never blocks.
func (l *link) connected() bool { return l.conn.Load() != nil && l.downSince.Load() == nil }

// options returns the options of the connection; reconnected is called after a
// reconnect.
func (l *link) options(o natsconn.Options, reconnected func()) []nats.Option {
	failed := func(err error) {
		why := o.Explain(err)
		l.reason.Store(&why)
	}
	return []nats.Option{
		nats.ReconnectErrHandler(func(_ *nats.Conn, err error) { failed(err) }),
		// A login refused during a reconnect is reported by the library only here.
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			if !l.connected() {
				failed(err)
			}
		}),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { l.setDown() }),
		nats.ReconnectHandler(func(*nats.Conn) {
			l.setUp()
			reconnected()
		}),
	}
}

func (l *link) setDown() {
	now := time.Now()
	l.lost.Add(1)
	l.reason.Store(nil)
	l.downSince.Store(&now)
}

func (l *link) setUp() { l.downSince.Store(nil) }

// established reports whether both were connected at least once.
func (l *links) established() bool { return l.events.conn.Load() != nil && l.other.conn.Load() != nil }

// state reports whether both are up, and describes those that are not.
func (l *links) state() (holds bool, text string) {
	if !l.established() {
		return false, "connecting"
	}
	var down, reasons []string
	for _, c := range l.named() {
		if since := c.link.downSince.Load(); since != nil {
			down = append(down, c.name+" since "+since.UTC().Format(time.RFC3339))
			if why := c.link.reason.Load(); why != nil && !slices.Contains(reasons, *why) {
				reasons = append(reasons, *why)
			}
		}
	}
	if len(down) == 0 {
		return true, "CONNECTED"
	}
	text = "RECONNECTING: " + strings.Join(down, ", ")
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

// register registers the gauges. They exist from the start, before the first connection.
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
