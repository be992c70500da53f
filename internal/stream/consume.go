package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
)

// What is asked for at once, and how much may be under way: the next pull goes
// out before the last is in. The channel holds more than two pulls: a message
// that finds it full is dropped for good.
const (
	pullMessages = 20_000
	pullBytes    = 16 << 20
	pending      = 2*pullMessages + 1024
)

// The causes of making a consumer anew.
const (
	causeReconnect = "reconnect"
	causeDropped   = "dropped"
	causeGap       = "gap"
	causeSilence   = "silence"
	causeServer    = "server"
	causeCreate    = "create"
)

// reading is one run of a Reader.
type reading struct {
	*Reader
	at   roster.Position
	fold func(*Batch)
	// gap is where the last consumer met a gap: the sequence that was missing.
	gap uint64

	batch Batch
}

// consumer is one consumer and what it has delivered.
type consumer struct {
	name      string
	messages  chan *nats.Msg
	inbox     string
	asked     int    // messages asked for and not yet delivered
	delivered uint64 // the consumer's own count
	heard     time.Time
}

// consume makes a consumer at the position and folds what it delivers, until
// something is in doubt; then it returns the cause.
func (r *reading) consume(ctx context.Context) (cause string, err error) {
	c := &consumer{messages: make(chan *nats.Msg, pending), inbox: r.nc.NewInbox(), heard: time.Now()}
	sub, err := r.nc.ChanSubscribe(c.inbox, c.messages)
	if err != nil {
		return causeCreate, fmt.Errorf("subscribing: %w", err)
	}
	defer sub.Unsubscribe() //nolint:errcheck // the connection may be gone
	reconnected := r.nc.StatusChanged(nats.CONNECTED)
	defer r.nc.RemoveStatusListener(reconnected)
	if err := r.create(ctx, c); err != nil {
		return causeCreate, err
	}
	defer r.remove(c.name)
	silence := time.NewTicker(r.beat)
	defer silence.Stop()
	for {
		if err := r.ask(c); err != nil {
			return causeServer, err
		}
		select {
		case <-ctx.Done():
			return "", nil
		case <-reconnected:
			return causeReconnect, nil
		case <-silence.C:
			if time.Since(c.heard) > 3*r.beat {
				return causeSilence, fmt.Errorf("nothing heard for %v", 3*r.beat)
			}
		case msg := <-c.messages:
			c.heard = time.Now()
			if cause, err := r.take(c, msg); cause != "" {
				return cause, err
			}
		}
	}
}

// create makes the consumer on the server. Ephemeral, in memory and without
// acks: nothing in it is worth keeping.
func (r *reading) create(ctx context.Context, c *consumer) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	made, err := r.js.CreateConsumer(ctx, r.stream, jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       r.at.Sequence() + 1,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return fmt.Errorf("creating consumer of stream %s: %w", r.stream, err)
	}
	c.name = made.CachedInfo().Name
	if made.CachedInfo().NumPending == 0 {
		r.folded(r.at.Sequence(), 0)
	}
	return nil
}

// remove frees the consumer on the server, which would do so itself later.
func (r *reading) remove(name string) {
	if r.nc.IsConnected() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = r.js.DeleteConsumer(ctx, r.stream, name)
	}
}

// pull is the request for the next messages.
// See https://docs.nats.io/reference/reference-protocols/nats_api_reference.
type pull struct {
	Batch     int           `json:"batch"`
	MaxBytes  int64         `json:"max_bytes"`
	Expires   time.Duration `json:"expires"`
	Heartbeat time.Duration `json:"idle_heartbeat"`
}

// ask asks for more messages when few are still to come. (A heartbeat above
// half of expires is refused.)
func (r *reading) ask(c *consumer) error {
	if c.asked > pullMessages/2 {
		return nil
	}
	request, err := json.Marshal(pull{
		Batch:     pullMessages,
		MaxBytes:  max(pullBytes, r.nc.MaxPayload()+64<<10),
		Expires:   10 * r.beat,
		Heartbeat: r.beat,
	})
	if err != nil {
		return fmt.Errorf("encoding pull: %w", err)
	}
	c.asked += pullMessages
	subject := "$JS.API.CONSUMER.MSG.NEXT." + r.stream + "." + c.name
	if err := r.nc.PublishRequest(subject, c.inbox, request); err != nil {
		return fmt.Errorf("asking for messages: %w", err)
	}
	return nil
}

// take takes a message and those that wait behind it, and folds them.
func (r *reading) take(c *consumer, msg *nats.Msg) (cause string, err error) {
	b := &r.batch
	b.Messages, b.bytes, b.End, b.Missing = b.Messages[:0], 0, r.at, roster.Gap
	var left uint64
	for msg != nil && cause == "" {
		cause, err = r.add(c, msg, &left)
		msg = nil
		if len(b.Messages) < maxBatch && b.bytes < maxBatchBytes && c.asked > pullMessages/2 {
			select {
			case msg = <-c.messages:
			default:
			}
		}
	}
	r.finish(left)
	return cause, err
}

// finish folds the batch that take has gathered.
func (r *reading) finish(left uint64) {
	b := &r.batch
	if b.End.Place == r.at.Place && len(b.Messages) == 0 {
		return
	}
	if n := len(b.Messages); n > 0 {
		last := b.Messages[n-1]
		b.End.Proof.Sequence, b.End.Proof.Receipt = last.Sequence, last.Receipt
		b.End.Proof.Hash = hash(last.Subject, last.Header, last.Data)
	}
	r.fold(b)
	r.at = b.End
	r.folded(r.at.Sequence(), left)
	clear(b.Messages) // what was folded may be freed
}

// add adds a message to the batch, or follows what the server says instead of
// one.
func (r *reading) add(c *consumer, msg *nats.Msg, left *uint64) (cause string, err error) {
	meta, ok := parseReply(msg.Reply)
	if !ok {
		return c.status(msg)
	}
	c.asked--
	c.delivered++
	if meta.delivery != c.delivered {
		return causeDropped, fmt.Errorf("delivery %d after %d", meta.delivery, c.delivered-1)
	}
	end := &r.batch.End
	if want := end.Sequence() + 1; meta.sequence != want {
		if missing, known := r.explain(want, meta.sequence, c.delivered == 1); known {
			r.batch.Missing = missing
		} else {
			r.gap = want
			return causeGap, fmt.Errorf("sequence %d after %d", meta.sequence, want-1)
		}
	}
	end.Place = end.Base + meta.sequence
	*left = meta.pending
	r.batch.bytes += len(msg.Data)
	r.batch.Messages = append(r.batch.Messages, Message{msg, meta.sequence, end.Place, meta.receipt})
	return "", nil
}

// status follows a message of the server's own. Statuses are those of the
// server's pull consumers: 100 an idle heartbeat, 404 and 408 the end of a
// pull, 409 that or the end of the consumer, 503 nobody there.
func (c *consumer) status(msg *nats.Msg) (cause string, err error) {
	status, description := msg.Header.Get("Status"), msg.Header.Get("Description")
	unfulfilled := msg.Header.Get("Nats-Pending-Messages")
	switch {
	case status == "100":
		return "", nil
	case unfulfilled != "" && description != "Consumer Deleted":
		n, err := strconv.Atoi(unfulfilled)
		if err != nil {
			return causeServer, fmt.Errorf("status %s: pending messages %q: %w", status, unfulfilled, err)
		}
		c.asked -= n
		return "", nil
	case status == "404" || status == "408":
		c.asked = 0
		return "", nil
	}
	return causeServer, fmt.Errorf("%w: %s %s", errConsumer, status, description)
}
