package natsconn

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// watch logs what happens to a connection, then calls the handlers that the options
// already had.
func (c *connLog) watch(n *nats.Options) {
	var last atomic.Pointer[nats.Conn]
	n.DisconnectedErrCB = both(func(nc *nats.Conn, err error) {
		last.Store(nc)
		c.disconnected(nc, err)
	}, n.DisconnectedErrCB)
	wait, jitter := n.ReconnectWait, n.ReconnectJitter
	n.CustomReconnectDelayCB = func(int) time.Duration {
		if nc := last.Load(); nc != nil {
			c.handshake(nc.LastError())
		}
		return wait + rand.N(jitter+1)
	}
	n.ReconnectErrCB = both(c.stillAway, n.ReconnectErrCB)
	reconnected, closed, failed := n.ReconnectedCB, n.ClosedCB, n.AsyncErrorCB
	n.ReconnectedCB = func(nc *nats.Conn) {
		c.log(slog.LevelInfo, "reconnected", "nats connection is back", "url", Redact(nc.ConnectedUrl()))
		if reconnected != nil {
			reconnected(nc)
		}
	}
	n.ClosedCB = func(nc *nats.Conn) {
		c.closed(nc.LastError())
		if closed != nil {
			closed(nc)
		}
	}
	n.AsyncErrorCB = func(nc *nats.Conn, sub *nats.Subscription, err error) {
		c.failed(sub, err)
		if failed != nil {
			failed(nc, sub, err)
		}
	}
}

func both(first, then nats.ConnErrHandler) nats.ConnErrHandler {
	return func(nc *nats.Conn, err error) {
		first(nc, err)
		if then != nil {
			then(nc, err)
		}
	}
}

// disconnected gets a nil error if we closed the connection ourselves.
func (c *connLog) disconnected(_ *nats.Conn, err error) {
	if err != nil {
		c.log(slog.LevelWarn, "disconnected", "nats connection is lost, reconnecting", "err", err)
	}
}

// closed usually gets a nil error if we closed the connection ourselves, and the
// reason if a protocol error did; that reason is reported nowhere else.
func (c *connLog) closed(err error) {
	level := slog.LevelDebug
	if err != nil {
		level = slog.LevelWarn
	}
	c.log(level, "closed", "nats connection is closed", "err", err)
}

func (c *connLog) stillAway(_ *nats.Conn, err error) {
	c.log(slog.LevelWarn, "away", "nats is still away, trying again", "err", err)
}

// handshake logs why the last reconnect attempt failed, if it failed in the TLS
// handshake: the library calls no handler for that.
func (c *connLog) handshake(err error) {
	var certificate *tls.CertificateVerificationError
	var remote *net.OpError
	switch {
	case errors.As(err, &certificate):
		c.log(slog.LevelError, "certificate", "nats has a certificate that NATS_CA does not vouch for, trying again", "err", err)
	case errors.As(err, &remote) && remote.Op == "remote error":
		c.log(slog.LevelError, "tls", "nats refuses the TLS connection, trying again; check NATS_CERT and NATS_KEY", "err", err)
	}
}

// failed logs an asynchronous error. A missing permission is reported nowhere else:
// the caller sees only a time-out.
func (c *connLog) failed(sub *nats.Subscription, err error) {
	args := []any{"err", err}
	if sub != nil {
		args = append(args, "subject", sub.Subject)
	}
	switch {
	case errors.Is(err, nats.ErrSlowConsumer):
		if dropped, err := sub.Dropped(); err == nil {
			args = append(args, "dropped", dropped)
		}
		c.log(slog.LevelWarn, "slow", "nats subscription is too slow, messages were dropped", args...)
	case errors.Is(err, nats.ErrPermissionViolation):
		c.log(slog.LevelError, permission(err), "nats denies a permission", args...)
	case isRefusal(err):
		c.log(slog.LevelError, "refused", "nats refuses the login, trying again", args...)
	default:
		c.log(slog.LevelWarn, "async", "nats connection reports an error", args...)
	}
}

// permission returns the kind of a complaint about a permission. Subscriptions are
// few, so each gets its own log line; published subjects may be anything, so they
// share one kind.
func permission(err error) string {
	if text := err.Error(); strings.Contains(text, "Subscription") {
		return text
	}
	return "permission"
}
