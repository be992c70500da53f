// Package publish sends events to NATS: each line is judged as the service would judge
// it, sent in order, and counted as stored only once the server has acknowledged it.
package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

const (
	// underWay is how many events wait for their acks at most: enough to hide
	// the way to the server, few enough that a slow disk keeps up with AckWait.
	underWay = 256
	// AckWait is how long an ack may take.
	AckWait = 10 * time.Second
)

// Tally is what became of the lines. An event without an ack may be stored or
// not.
type Tally struct{ Stored, Refused, Failed, NoAck int }

// String returns "6 stored, 1 refused", without what did not happen.
func (t Tally) String() string {
	s := fmt.Sprintf("%d stored", t.Stored)
	if t.Refused > 0 {
		s += fmt.Sprintf(", %d refused", t.Refused)
	}
	if t.Failed > 0 {
		s += fmt.Sprintf(", %d failed", t.Failed)
	}
	if t.NoAck > 0 {
		s += fmt.Sprintf(", %d without an ack", t.NoAck)
	}
	return s
}

// Progress shows how far the sending is. Its methods are called from several
// goroutines.
type Progress interface {
	// Advance moves on by so many bytes of the inputs.
	Advance(bytes int)
	// Tell tells, on a line, of an event that was not stored.
	Tell(format string, args ...any)
}

// Publisher sends lines as events, each with an ack, in order.
type Publisher struct {
	subjects rollcallv1.Subjects
	judge    *wire.Decoder
	errors   *connErrors // of the connection
	progress Progress
	tally    Tally
}

// New returns a publisher for one connection: that which has its Options.
func New(subjects rollcallv1.Subjects, judge *wire.Decoder) *Publisher {
	return &Publisher{subjects: subjects, judge: judge, errors: newConnErrors()}
}

// Options are those that the connection must have.
func (p *Publisher) Options() []nats.Option { return p.errors.watch() }

// sent is an event on its way.
type sent struct {
	origin, subject string
	ack             jetstream.PubAckFuture
}

// Send sends all lines of the inputs, tells about each that was not stored, and
// returns when all that were sent have their acks. The error is why it stopped
// before the end. A publisher sends once.
func (p *Publisher) Send(ctx context.Context, conn *nats.Conn, inputs []Input, progress Progress) (Tally, error) {
	p.progress = progress
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(AckWait))
	if err != nil {
		return Tally{}, fmt.Errorf("opening JetStream: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pending := make(chan sent, underWay)
	acked := make(chan acks)
	go func() { acked <- p.settle(pending, stop) }()
	sendErr := p.sendLines(ctx, js, lines(ctx, inputs), pending)
	close(pending)
	got := <-acked
	p.tally.Stored += got.stored
	p.tally.Failed += got.failed
	p.tally.NoAck += got.noAck
	// Of two errors that of the acks came first, and led to the other.
	return p.tally, cmp.Or(got.stopped, sendErr)
}

// sendLines sends lines until there are no more, ctx is done, or there is an
// error that no other line would escape.
func (p *Publisher) sendLines(ctx context.Context, js jetstream.Publisher, from <-chan line, pending chan<- sent) error {
	last := "the beginning"
	for {
		var l line
		var more bool
		select {
		case <-ctx.Done():
		case l, more = <-from:
		}
		switch {
		//guard:false "an interrupted publish is no success" ./cmd/rollcall:TestPublishInterrupted
		case ctx.Err() != nil: // then from may have ended before its end
			return fmt.Errorf("interrupted after %s; publish what follows", last)
		case !more:
			return nil
		}
		if err := p.sendLine(js, l, pending); err != nil {
			return err
		}
		p.progress.Advance(l.read)
		last = l.origin
	}
}

// sendLine judges a line and sends it. The error is one that no other line
// would escape.
func (p *Publisher) sendLine(js jetstream.Publisher, l line, pending chan<- sent) error {
	if l.err != nil {
		p.tally.Failed++
		p.progress.Tell("%s: not read: %v", l.origin, l.err)
		return nil
	}
	msg, refusal := p.message(l)
	if refusal != nil {
		p.tally.Refused++
		p.progress.Tell("%s: %v", l.origin, refusal)
		return nil
	}
	ack, err := js.PublishMsgAsync(msg)
	if errors.Is(err, nats.ErrMaxPayload) {
		p.tally.Failed++
		p.progress.Tell("%s: not stored: %d bytes are more than the server takes; raise its max_payload", l.origin, l.size)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.origin, err)
	}
	pending <- sent{l.origin, msg.Subject, ack}
	return nil
}

// message judges a line and returns it as a message.
func (p *Publisher) message(l line) (*nats.Msg, *roster.Refusal) {
	if l.text == nil {
		return nil, oversize(l.size)
	}
	var e roster.Event
	//guard:false "what the service would refuse is not sent" ./cmd/rollcall:TestScripts/publish$
	if refusal := p.judge.Decode(p.subjects.Events(), rollcallv1.ContentTypeJSON, l.text, &e); refusal != nil {
		return nil, refusal
	}
	msg := &nats.Msg{Subject: p.subjects.EventsOf(e.Machine), Data: l.text}
	if l.text[0] != '{' {
		// Without saying so, what begins with white space is not JSON.
		msg.Header = nats.Header{rollcallv1.HeaderContentType: {rollcallv1.ContentTypeJSON}}
	}
	return msg, nil
}

func oversize(size int) *roster.Refusal {
	return &roster.Refusal{
		Reason:  roster.Oversize,
		Problem: fmt.Sprintf("payload: %d bytes, at most %d", size, rollcallv1.MaxPayload),
		Remedy:  "send less: list fewer sessions, or leave out what is not needed",
	}
}

// acks are what became of the events that were sent.
type acks struct {
	stored, failed, noAck int
	// stopped is the first failure that no other event would escape.
	stopped error
}

// settle waits for the acks in the order of sending, and calls stop at the
// first failure that no other event would escape.
func (p *Publisher) settle(pending <-chan sent, stop func()) acks {
	var a acks
	for s := range pending {
		err := p.await(s)
		switch {
		case err == nil:
			a.stored++
			continue
		case a.stopped != nil: // for the same reason, most likely
		case concernsAll(err):
			a.stopped = fmt.Errorf("%s: %w", s.origin, explain(s, err))
			stop()
		default:
			p.progress.Tell("%s: not stored: %v", s.origin, explain(s, err))
		}
		if lacksAck(err) {
			a.noAck++
		} else {
			a.failed++
		}
	}
	return a
}

// await returns when the event has its ack, or there is no hope for it. An ack
// that is there counts, whatever happened since.
func (p *Publisher) await(s sent) error {
	for {
		more, trouble := p.errors.of(s.subject)
		select {
		case <-s.ack.Ok():
			return nil
		case err := <-s.ack.Err():
			return err
		default:
		}
		if trouble != nil {
			return trouble
		}
		select {
		case <-s.ack.Ok():
			return nil
		case err := <-s.ack.Err():
			return err
		case <-more:
		}
	}
}

// concernsAll reports whether other events would fail as this one did.
func concernsAll(err error) bool {
	return lacksAck(err) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// lacksAck reports whether the event may be stored all the same: it was sent,
// and the answer of the server did not come.
func lacksAck(err error) bool {
	//guard:drop errHopeless "what may be stored is not told as failed" ./cmd/rollcall:TestPublishWithoutAnswers
	return errors.Is(err, errHopeless) ||
		errors.Is(err, jetstream.ErrAsyncPublishTimeout) ||
		errors.Is(err, nats.ErrDisconnected)
}

// explain says what to do about an event that was not stored, or of which that
// is not known.
func explain(s sent, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream takes %s; start \"rollcall serve\", which makes one, or see whether NATS_URL and ROLLCALL_SUBJECT are its", s.subject)
	case errors.Is(err, jetstream.ErrAsyncPublishTimeout):
		return fmt.Errorf("%w: none within %v; see whether the server is well, then publish from here on", errNoAck, AckWait)
	case errors.Is(err, nats.ErrDisconnected):
		return fmt.Errorf("%w: %w", errNoAck, errLost)
	case errors.Is(err, errHopeless):
		return fmt.Errorf("%w: %w", errNoAck, err)
	}
	return err
}
