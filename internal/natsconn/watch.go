package natsconn

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// watch makes the connection log its state changes and errors, before it calls the
// handlers that the options already had. A delay before a reconnect that they have is kept.
func (c *connLog) watch(n *nats.Options, user func() string) {
	c.user = user
	var last atomic.Pointer[nats.Conn]
	n.DisconnectedErrCB = chain(func(nc *nats.Conn, err error) {
		last.Store(nc)
		c.disconnected(nc, err)
	}, n.DisconnectedErrCB)
	wait, jitter, delay := n.ReconnectWait, n.ReconnectJitter, n.CustomReconnectDelayCB
	n.CustomReconnectDelayCB = func(attempts int) time.Duration {
		if nc := last.Load(); nc != nil {
			c.handshake(nc.LastError())
		}
		//guard:false "a fleet of agents does not come back at once" TestReconnectDelay
		if delay != nil {
			return delay(attempts)
		}
		return wait + rand.N(jitter+1)
	}
	n.ReconnectErrCB = chain(c.reconnectFailed, n.ReconnectErrCB)
	reconnected, closed, failed := n.ReconnectedCB, n.ClosedCB, n.AsyncErrorCB
	n.ReconnectedCB = func(nc *nats.Conn) {
		c.log(slog.LevelInfo, "reconnected", "reconnected to nats", "url", Redact(nc.ConnectedUrl()))
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

func chain(first, then nats.ConnErrHandler) nats.ConnErrHandler {
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
		c.log(slog.LevelWarn, "disconnected", "nats connection lost, reconnecting", "err", err)
	}
}

// closed usually gets a nil error if we closed the connection ourselves, and the
// reason if a protocol error did; that reason is reported nowhere else.
func (c *connLog) closed(err error) {
	level := slog.LevelDebug
	if err != nil {
		level = slog.LevelWarn
	}
	c.log(level, "closed", "nats connection closed", "err", err)
}

func (c *connLog) reconnectFailed(_ *nats.Conn, err error) {
	c.log(slog.LevelWarn, "reconnect failed", "reconnecting to nats failed, retrying", "err", err)
}

// handshake logs why the last reconnect attempt failed, if it failed in the TLS
// handshake: the library calls no handler for that.
func (c *connLog) handshake(err error) {
	var certificate *tls.CertificateVerificationError
	var remote *net.OpError
	switch {
	case errors.As(err, &certificate):
		c.log(slog.LevelError, "certificate", "nats server certificate is not accepted, retrying", "err", fmt.Errorf("%w: %s", err, Options{}.certificateRemedy(err)))
	case errors.As(err, &remote) && remote.Op == "remote error":
		c.log(slog.LevelError, "tls", "nats refuses the TLS connection, retrying; check NATS_CERT and NATS_KEY", "err", err)
	}
}

// failed logs an asynchronous error. For a denied permission this is the only
// report: the caller sees just a time-out.
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
		if user := c.user(); user != "" {
			args = append(args, "user", user)
		}
		c.log(slog.LevelError, permission(err), "nats denies a permission", args...)
	case isRefusal(err):
		c.log(slog.LevelError, "refused", "nats refuses the login, retrying", args...)
	default:
		c.log(slog.LevelWarn, "async", "nats connection reports an error", args...)
	}
}

// permission returns the kind, for the throttle, of a permission error.
// Subscriptions are few, so each has a kind of its own; published subjects may be
// anything, so they share one.
func permission(err error) string {
	if text := err.Error(); strings.Contains(text, "Subscription") {
		return text
	}
	return "permission"
}
