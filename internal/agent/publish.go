package agent

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/agent/spool"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// publisher publishes what is in the spool, in order, until the server has stored it.
type publisher struct {
	connect Connect
	// connected is called with each new connection.
	connected func(*nats.Conn)
	subject   string
	spool     *spool.Spool
	log       *slog.Logger

	nc     *nats.Conn // nil: a new one is needed
	js     jetstream.JetStream
	closed <-chan struct{} // nc has ended for good
	sent   []sent          // whose acks are awaited, in order
	failed bool            // one before them was not stored
}

// Connect connects to the server; it waits until there is one, or the context is done.
type Connect func(context.Context, ...nats.Option) (*nats.Conn, error)

// sent is an event that was published.
type sent struct {
	number uint64
	ack    jetstream.PubAckFuture
}

const (
	// window is how many events are published before the first of them is stored. The
	// service relies on it: see roster's origins.
	window = 64
	// ackWithin is how long an ack may take.
	ackWithin = 10 * time.Second
	// lastAcksWithin is how long those are awaited that are still to come when the agent ends.
	lastAcksWithin = 2 * time.Second
)

// connOptions are those of the agent's connections. What waits, waits in the spool: what the
// library buffers while there is no server would be published twice, and after it was
// dropped from the spool.
//
//guard:set nats.ReconnectBufSize(-1) nats.ReconnectBufSize(0) "what was dropped is not published" TestSpoolOverflows
var connOptions = []nats.Option{nats.CustomReconnectDelay(reconnectDelay), nats.ReconnectBufSize(-1)}

// reconnectDelay is how long an agent waits until it connects again: a random time, so that
// those of a whole fleet don't come back at once.
func reconnectDelay(attempts int) time.Duration {
	return rand.N(min(time.Duration(attempts+1)*5*time.Second, maxReconnectDelay))
}

// maxReconnectDelay is how long it waits at most.
const maxReconnectDelay = 30 * time.Second

// run publishes until the context is done. Whatever goes wrong is tried again: an event is
// never left out. Only if it cannot connect at all, for a wrong configuration, it returns.
func (p *publisher) run(ctx context.Context) error {
	defer p.disconnect()
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		before := p.spool.Stats().Acked
		err := p.await(ctx)
		switch {
		case err == nil:
			err = p.publish(ctx)
		case p.js == nil:
			return err
		}
		if ctx.Err() != nil {
			return nil
		}
		if p.spool.Stats().Acked > before {
			wait = time.Second
		}
		p.log.Warn("events not stored: trying again", "err", err, "waiting", p.spool.Stats().Waiting)
		// Only when a connection begins does the server say how large an event may be.
		//guard:false "events go on when the server allows larger ones" TestMaxPayload
		if errors.Is(err, nats.ErrMaxPayload) {
			p.disconnect()
		}
		if !pause(ctx, jittered(wait)) {
			return nil
		}
	}
}

// await waits until there is a connection to the server.
func (p *publisher) await(ctx context.Context) error {
	//guard:drop p.nc.IsClosed() "a connection that has ended for good is replaced" TestMaxPayload
	if p.nc == nil || p.nc.IsClosed() {
		if err := p.begin(ctx); err != nil {
			return err
		}
	}
	changed := p.nc.StatusChanged(nats.CONNECTED)
	defer p.nc.RemoveStatusListener(changed)
	for !p.nc.IsConnected() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-p.closed:
			return nats.ErrConnectionClosed
		case <-changed:
		}
	}
	return nil
}

// begin begins a connection. It reconnects by itself, but the library closes it when the
// server reports an error that it does not know.
func (p *publisher) begin(ctx context.Context) error {
	closed := make(chan struct{})
	nc, err := p.connect(ctx, append(connOptions, nats.ClosedHandler(func(*nats.Conn) { close(closed) }))...)
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc, jetstream.WithPublishAsyncMaxPending(2*window))
	if err != nil {
		nc.Close()
		return err
	}
	p.nc, p.js, p.closed = nc, js, closed
	p.connected(nc)
	return nil
}

// disconnect ends the connection.
func (p *publisher) disconnect() {
	if p.nc != nil {
		p.nc.Close()
		p.nc = nil
	}
}

// publish publishes on from the first event that is not stored, until one cannot be.
func (p *publisher) publish(ctx context.Context) error {
	// If a permission was taken away, the server may have ended the subscription on which acks
	// arrive, and the library would wait for ever. This makes it subscribe again.
	//guard:drop "acks are received again once they may be" TestPermissionTakenAway
	defer p.js.CleanupPublisher()
	defer p.drain(ctx)
	read := p.spool.Reader()
	for {
		for more := true; more && len(p.sent) < window; {
			r, ok, err := read.TryNext()
			if more = ok; err != nil {
				return err
			}
			if ok {
				if err := p.send(&r); err != nil {
					return err
				}
			}
		}
		if err := p.wait(ctx); err != nil {
			return err
		}
	}
}

// send publishes an event.
func (p *publisher) send(r *spool.Record) error {
	m := nats.NewMsg(p.subject)
	m.Header.Set(rollcallv1.HeaderContentType, rollcallv1.ContentTypeJSON)
	m.Data = r.Payload
	ack, err := p.js.PublishMsgAsync(m, jetstream.WithRetryAttempts(0)) // that would change their order
	switch {
	case err == nil:
		p.sent = append(p.sent, sent{r.Number, ack})
	case errors.Is(err, nats.ErrReconnectBufExceeded): // of a buffer that is not used
		return nats.ErrDisconnected
	}
	return err
}

// errNoAck says that the server does not answer.
var errNoAck = errors.New("no answer from JetStream: is there a stream for the subject, may this machine publish to it, and may it receive the answer (NATS_INBOX_PREFIX)?")

// wait waits until the first event that was published is stored, or there are more to
// publish.
func (p *publisher) wait(ctx context.Context) error {
	var stored <-chan *jetstream.PubAck
	var failed <-chan error
	var late <-chan time.Time
	appended := p.spool.Appended()
	if len(p.sent) > 0 {
		stored, failed = p.sent[0].ack.Ok(), p.sent[0].ack.Err()
		late = time.After(ackWithin)
	}
	if len(p.sent) == window {
		appended = nil
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-p.closed:
		return nats.ErrConnectionClosed
	case <-appended:
		return nil
	case err := <-failed:
		p.sent, p.failed = p.sent[1:], true
		return err
	case <-late:
		return errNoAck
	case <-stored:
		number := p.sent[0].number
		p.sent = p.sent[1:]
		return p.spool.Ack(number)
	}
}

// drain waits for the acks that are still to come, so that nothing is on its way when it is
// sent again: from the first event on that was not stored. Once the context is done it does not
// wait long for a server that does not answer; the service drops what it gets twice.
func (p *publisher) drain(ctx context.Context) {
	defer func() { p.sent, p.failed = nil, false }()
	end, done := time.After(ackWithin), ctx.Done()
	for len(p.sent) > 0 {
		s := p.sent[0]
		select {
		case <-s.ack.Ok():
			p.sent = p.sent[1:]
			if p.failed {
				continue
			}
			if err := p.spool.Ack(s.number); err != nil {
				p.log.Error("spool not written", "err", err)
			}
		case <-s.ack.Err():
			p.sent, p.failed = p.sent[1:], true
		case <-p.closed:
			return
		//guard:drop "an agent that gets no acks ends soon" TestEndWithoutAcks
		case <-done:
			end, done = time.After(lastAcksWithin), nil
		case <-end:
			return
		}
	}
}
