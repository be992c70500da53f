package main

import (
	"context"
	"fmt"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/broker"
)

// connect starts the server if it is to be ours, and connects to it twice.
func (s *service) connect(ctx context.Context) error {
	options := s.cfg.broker()
	if s.cfg.NATSURL == "" {
		var err error
		s.embedded, err = broker.StartEmbedded(broker.EmbeddedOptions{
			Addr: string(s.cfg.EmbeddedAddr), Dir: filepath.Join(s.cfg.DataDir, "nats"), Log: s.log,
		})
		if err != nil {
			return err
		}
		options.URL = s.embedded.URL()
	}
	for name, conn := range map[string]**nats.Conn{"rollcall events": &s.reading, "rollcall": &s.other} {
		nc, err := broker.Await(ctx, options, name, s.log, nats.ClosedHandler(s.closed),
			nats.DisconnectErrHandler(func(*nats.Conn, error) { s.away(conn, true) }),
			nats.ReconnectHandler(func(*nats.Conn) { s.away(conn, false) }))
		if err != nil {
			return err
		}
		*conn = nc
	}
	s.natsUp.Store(s.reading)
	return nil
}

// away notes, for the health checks, whether the events can be read.
func (s *service) away(conn **nats.Conn, is bool) {
	if conn == &s.reading {
		s.natsAway.Store(is)
	}
}

// closed is called for a connection that has ended for good.
func (s *service) closed(nc *nats.Conn) {
	if err := nc.LastError(); err != nil {
		s.lost <- fmt.Errorf("%w: %s: %w", errClosed, nc.Opts.Name, err)
	}
}

// streams are the streams that the service wants.
func (s *service) streams() broker.Streams {
	maxBytes := int64(s.cfg.StreamMaxBytes)
	if s.embedded != nil && maxBytes == 0 {
		maxBytes = s.embedded.StoreLimit() / 2
	}
	return broker.Streams{
		Subjects:        s.cfg.subjects(),
		Events:          string(s.cfg.Stream),
		Reports:         string(s.cfg.ReportsStream),
		DeadLetters:     string(s.cfg.DeadlettersStream),
		AllowedLateness: time.Duration(s.cfg.AllowedLateness),
		MaxAge:          time.Duration(s.cfg.StreamMaxAge),
		MaxBytes:        maxBytes,
		Replicas:        int(s.cfg.StreamReplicas),
		Embedded:        s.embedded != nil,
	}
}
