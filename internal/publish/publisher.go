// Package publish sends events to NATS: each line is checked as the service would
// check it, sent in order, and counted as stored only once the server has
// acknowledged it.
package publish

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/roster"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

const (
	// maxInFlight bounds the events in flight: enough to hide the latency to the
	// server, few enough that a slow disk acknowledges them within AckWait.
	maxInFlight = 256
	// AckWait is how long an ack may take.
	AckWait = 10 * time.Second
)

// Tally counts what became of the lines. An event without an ack may or may not be
// stored.
type Tally struct{ Stored, Refused, Failed, NoAck int }

// String returns "6 stored, 1 refused"; other counts are left out if they are 0.
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

// Progress shows the progress of a publish. Its methods are called from several
// goroutines.
type Progress interface {
	// Advance adds a number of bytes of the inputs that are done.
	Advance(bytes int)
	// Report prints a line about an event that was not stored.
	Report(format string, args ...any)
}

// Publisher publishes lines as events, in order, and waits for their acks.
type Publisher struct {
	subjects rollcallv1.Subjects
	decoder  *wire.Decoder
	errors   *connErrors // of the connection

	// Foresee returns why the service would refuse a valid event, or nil if it would not,
	// as far as is known. nil: nothing is.
	Foresee func(*roster.Event) *roster.Refusal

	progress Progress
	tally    Tally
}

// New returns a publisher for one connection, which must have its Options. Denied returns
// the denied permission that an error of the connection reports, or nil.
func New(subjects rollcallv1.Subjects, decoder *wire.Decoder, denied func(error) *natsconn.Denial) *Publisher {
	return &Publisher{subjects: subjects, decoder: decoder, errors: newConnErrors(denied)}
}

// Options returns the options that the connection must have.
func (p *Publisher) Options() []nats.Option { return p.errors.options() }

// sent is an event in flight.
type sent struct {
	origin, subject string
	ack             jetstream.PubAckFuture
}

// Send sends all lines of the inputs, reports each that was not stored, and returns
// once every event sent has its ack or has failed. The error is why it stopped
// before the end. A publisher sends once.
func (p *Publisher) Send(ctx context.Context, conn *nats.Conn, inputs []Input, progress Progress) (Tally, error) {
	p.progress = progress
	js, err := jetstream.New(conn, jetstream.WithPublishAsyncTimeout(AckWait))
	if err != nil {
		return Tally{}, fmt.Errorf("opening JetStream: %w", err)
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pending := make(chan sent, maxInFlight)
	acked := make(chan acks)
	go func() { acked <- p.settle(pending, stop) }()
	sendErr := p.sendLines(ctx, js, lines(ctx, inputs), pending)
	close(pending)
	got := <-acked
	p.tally.Stored += got.stored
	p.tally.Failed += got.failed
	p.tally.NoAck += got.noAck
	// If both failed, the error of the acks came first and caused the other.
	return p.tally, cmp.Or(got.fatal, sendErr)
}

// sendLines sends lines until there are no more, ctx is done, or there is a fatal
// error: every later line would fail the same way.
func (p *Publisher) sendLines(ctx context.Context, js jetstream.Publisher, from <-chan line, pending chan<- sent) error {
	last := "the beginning"
	for {
		l, more := receive(ctx, from)
		switch {
		//guard:false "an interrupted publish is not a success" ./cmd/rollcall:TestPublishInterrupted
		case ctx.Err() != nil: // from may then be closed before all lines are read
			return fmt.Errorf("interrupted after %s; publish the lines after that one", last)
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

// receive returns the next line, or false if there are no more or ctx is done.
func receive(ctx context.Context, from <-chan line) (l line, more bool) {
	select {
	case <-ctx.Done():
	case l, more = <-from:
	}
	return l, more
}

// sendLine checks a line and sends it. It returns fatal errors only: every later
// line would fail the same way.
func (p *Publisher) sendLine(js jetstream.Publisher, l line, pending chan<- sent) error {
	if l.err != nil {
		p.tally.Failed++
		p.progress.Report("%s: reading: %v", l.origin, l.err)
		return nil
	}
	msg, refusal := p.message(l)
	if refusal != nil {
		p.tally.Refused++
		p.progress.Report("%s: %v", l.origin, refusal)
		return nil
	}
	ack, err := js.PublishMsgAsync(msg)
	if errors.Is(err, nats.ErrMaxPayload) {
		p.tally.Failed++
		p.progress.Report("%s: not stored: %d bytes are more than the server accepts; raise its max_payload", l.origin, l.size)
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s: %w", l.origin, err)
	}
	pending <- sent{l.origin, msg.Subject, ack}
	return nil
}

// message checks a line and returns it as a message.
func (p *Publisher) message(l line) (*nats.Msg, *roster.Refusal) {
	if l.text == nil {
		return nil, oversize(l.size)
	}
	var e roster.Event
	//guard:false "what the service would refuse is not published" ./cmd/rollcall:TestScripts/publish$
	if refusal := p.decoder.Decode(p.subjects.Events(), rollcallv1.ContentTypeJSON, l.text, &e); refusal != nil {
		return nil, refusal
	}
	if p.Foresee != nil {
		if refusal := p.Foresee(&e); refusal != nil {
			return nil, refusal
		}
	}
	msg := &nats.Msg{Subject: p.subjects.EventsOf(e.Machine), Data: l.text}
	if l.text[0] != '{' {
		// Without this header, a payload that begins with white space is not read
		// as JSON.
		msg.Header = nats.Header{rollcallv1.HeaderContentType: {rollcallv1.ContentTypeJSON}}
	}
	return msg, nil
}

func oversize(size int) *roster.Refusal {
	return &roster.Refusal{
		Reason:  roster.Oversize,
		Problem: fmt.Sprintf("payload: %d bytes, at most %d", size, rollcallv1.MaxPayload),
		Remedy:  "send less: list fewer sessions, or leave out optional fields",
	}
}

// acks counts the outcomes of the events sent.
type acks struct {
	stored, failed, noAck int
	// fatal is the first fatal error: every later event would fail the same way.
	fatal error
}

// settle waits for the acks in the order of sending, and calls stop at the first
// fatal error.
func (p *Publisher) settle(pending <-chan sent, stop func()) acks {
	var a acks
	for s := range pending {
		err := p.await(s)
		switch {
		case err == nil:
			a.stored++
			continue
		case a.fatal != nil: // for the same reason, most likely
		case concernsAll(err):
			a.fatal = fmt.Errorf("%s: %w", s.origin, explain(s, err))
			stop()
		default:
			p.progress.Report("%s: not stored: %v", s.origin, explain(s, err))
		}
		if lacksAck(err) {
			a.noAck++
		} else {
			a.failed++
		}
	}
	return a
}

// await returns once the event has its ack, or no ack can come any more. An ack
// that has arrived counts, whatever happened since.
func (p *Publisher) await(s sent) error {
	for {
		changed, connErr := p.errors.errorFor(s.subject)
		select {
		case <-s.ack.Ok():
			return nil
		case err := <-s.ack.Err():
			return err
		default:
		}
		if connErr != nil {
			return connErr
		}
		select {
		case <-s.ack.Ok():
			return nil
		case err := <-s.ack.Err():
			return err
		case <-changed:
		}
	}
}

// concernsAll reports whether other events would fail the same way.
func concernsAll(err error) bool {
	return lacksAck(err) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// lacksAck reports whether the event may be stored all the same: it was sent, but
// the server's answer did not arrive.
func lacksAck(err error) bool {
	//guard:drop errAckLost "what may be stored is not reported as failed" ./cmd/rollcall:TestPublishWithoutAnswers
	return errors.Is(err, errAckLost) ||
		errors.Is(err, jetstream.ErrAsyncPublishTimeout) ||
		errors.Is(err, nats.ErrDisconnected)
}

// explain says what to do about an event that was not stored, or may not have been.
func explain(s sent, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("no stream stores %s; start \"rollcall serve\", which creates one, or check NATS_URL and ROLLCALL_SUBJECT", s.subject)
	case errors.Is(err, jetstream.ErrAsyncPublishTimeout):
		return fmt.Errorf("%w: none within %v; check the server, then publish from here on", errNoAck, AckWait)
	case errors.Is(err, nats.ErrDisconnected):
		return fmt.Errorf("%w: %w", errNoAck, errLost)
	case errors.Is(err, errAckLost):
		return fmt.Errorf("%w: %w", errNoAck, err)
	}
	return err
}
