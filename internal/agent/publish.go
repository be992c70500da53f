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
	js      jetstream.JetStream
	subject string
	spool   *spool.Spool
	log     *slog.Logger
	sent    []sent // whose acks are awaited, in order
	failed  bool   // one before them was not stored
}

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
)

// ReconnectDelay is how long an agent waits until it connects again: a random time, so that
// those of a whole fleet don't come back at once.
func ReconnectDelay(attempts int) time.Duration {
	return rand.N(min(time.Duration(attempts+1)*2*time.Second, maxReconnectDelay))
}

// maxReconnectDelay is how long it waits at most.
const maxReconnectDelay = 30 * time.Second

// run publishes until the context is done. Whatever goes wrong is tried again: an event is
// never left out.
func (p *publisher) run(ctx context.Context) {
	for wait := time.Second; ctx.Err() == nil; {
		before := p.spool.Stats().Acked
		err := p.publish(ctx)
		if ctx.Err() != nil {
			return
		}
		if p.spool.Stats().Acked > before {
			wait = time.Second
		}
		p.log.Warn("events not stored: trying again", "err", err, "waiting", p.spool.Stats().Waiting)
		if !pause(ctx, jittered(wait)) {
			return
		}
		wait = min(2*wait, time.Minute)
	}
}

// publish publishes on from the first event that is not stored, until one cannot be.
func (p *publisher) publish(ctx context.Context) error {
	defer p.drain()
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
	if err == nil {
		p.sent = append(p.sent, sent{r.Number, ack})
	}
	return err
}

// errNoAck says that the server does not answer.
var errNoAck = errors.New("no answer from JetStream: is there a stream for the subject, and may this machine publish to it?")

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
// sent again: from the first event on that was not stored.
func (p *publisher) drain() {
	end := time.After(ackWithin)
	for _, s := range p.sent {
		select {
		case <-s.ack.Ok():
			if p.failed {
				continue
			}
			if err := p.spool.Ack(s.number); err != nil {
				p.log.Error("spool not written", "err", err)
			}
		case <-s.ack.Err():
			p.failed = true
		case <-end:
			p.sent, p.failed = nil, false
			return
		}
	}
	p.sent, p.failed = nil, false
}
