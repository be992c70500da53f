package service

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/natsconn"
	"rollcall/internal/natsserver"
)

// connect starts the embedded server unless NATS_URL is set, and opens both connections,
// unless they are open.
func (s *service) connect(ctx context.Context) error {
	if s.other != nil {
		return nil
	}
	options := s.cfg.NATS()
	if s.cfg.NATSURL == "" {
		var err error
		s.embedded, err = natsserver.Start(natsserver.Options{
			Addr: string(s.cfg.EmbeddedAddr), Dir: s.cfg.EmbeddedFolder(), Subjects: s.cfg.Subjects(), Log: s.log,
		})
		if err != nil {
			return err
		}
		options = natsconn.Options{URL: s.embedded.URL(), NKey: s.cfg.KeyFile(), InboxPrefix: options.InboxPrefix}
	}
	for _, c := range []struct {
		name string
		conn **nats.Conn
		link *link
	}{
		{"rollcall events", &s.reading, &s.links.events},
		{"rollcall", &s.other, &s.links.other},
	} {
		more := append(c.link.options(options, s.reconnected), nats.ClosedHandler(s.closed))
		nc, err := natsconn.Await(ctx, options, c.name, s.log, s.waiting.set, more...)
		if err != nil {
			return err
		}
		*c.conn = nc
		c.link.conn.Store(nc)
	}
	s.waiting.clear()
	return nil
}

// reconnected is called after a reconnect: the monitor polls the stream at once.
func (s *service) reconnected() {
	if m := s.monitor.Load(); m != nil {
		m.requestPoll()
	}
}

// errDiskBack means that the embedded server must be restarted: after a failed write to a
// stream it stores nothing more in that stream.
var errDiskBack = errors.New("the disk of the embedded NATS server was full and is writable again: restarting the server")

// diskBack is called when the disk of the streams is writable again.
func (s *service) diskBack() {
	if s.embedded == nil {
		return
	}
	select {
	case s.lost <- errDiskBack:
	default: // a restart is due already
	}
}

// closed is called for a connection that was closed for good.
func (s *service) closed(nc *nats.Conn) {
	if err := nc.LastError(); err != nil {
		s.lost <- fmt.Errorf("%w: %s: %w", errClosed, nc.Opts.Name, err)
	}
}

// streams returns the streams that the service needs.
func (s *service) streams() natsconn.Streams {
	maxBytes := int64(s.cfg.StreamMaxBytes)
	if s.embedded != nil && maxBytes == 0 {
		maxBytes = s.embedded.StoreLimit() / 2
	}
	return natsconn.Streams{
		Subjects:        s.cfg.Subjects(),
		Events:          string(s.cfg.Stream),
		Reports:         string(s.cfg.ReportsStream),
		DeadLetters:     string(s.cfg.DeadlettersStream),
		AllowedLateness: time.Duration(s.cfg.AllowedLateness),
		MaxAge:          time.Duration(s.cfg.StreamMaxAge),
		MaxBytes:        maxBytes,
		Replicas:        int(s.cfg.StreamReplicas),
		Speakers:        s.cfg.Speakers(),
		Embedded:        s.embedded != nil,
		// One for the reader, and one for the history while it reads the stream again.
		Consumers: 2,
	}
}
