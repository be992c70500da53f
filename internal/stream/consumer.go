package stream

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// What is asked for at once, and how much may be under way: the next pull goes
// out before the last is in. The channel holds more than two pulls: a message
// that finds it full is dropped for good.
const (
	pullMessages = 20_000
	pullBytes    = 16 << 20
	channelSize  = 2*pullMessages + 1024
)

// consumer is one consumer on the server and what it has delivered.
type consumer struct {
	*jetStream
	name        string
	inbox       string
	sub         *nats.Subscription
	messages    chan *nats.Msg
	reconnected chan nats.Status
	silence     *time.Ticker
	begun       uint64 // messages to come when it was made
	asked       int    // messages asked for and not yet delivered
	delivered   uint64 // the consumer's own count
	heard       time.Time
}

// consume makes the consumer: ephemeral, in memory and without acks, as nothing
// in it is worth keeping.
func (s *jetStream) consume(ctx context.Context, from uint64) (delivery, error) {
	c := &consumer{jetStream: s, inbox: s.nc.NewInbox(), messages: make(chan *nats.Msg, channelSize), heard: time.Now()}
	c.reconnected = s.nc.StatusChanged(nats.CONNECTED)
	c.silence = time.NewTicker(s.beat)
	var err error
	if c.sub, err = s.nc.ChanSubscribe(c.inbox, c.messages); err != nil {
		c.close()
		return nil, doubtful(causeCreate, "subscribing: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	made, err := s.js.CreateConsumer(ctx, s.stream, jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		c.close()
		return nil, doubtful(causeCreate, "creating consumer of stream %s: %w", s.stream, err)
	}
	c.name, c.begun = made.CachedInfo().Name, made.CachedInfo().NumPending
	return c, nil
}

func (c *consumer) pending() uint64 { return c.begun }

// close frees the consumer on the server, which would do so itself later.
func (c *consumer) close() {
	c.silence.Stop()
	c.nc.RemoveStatusListener(c.reconnected)
	if c.sub != nil {
		_ = c.sub.Unsubscribe() // the connection may be gone
	}
	if c.name != "" && c.nc.IsConnected() {
		// Nobody waits for the answer.
		_ = c.nc.Publish("$JS.API.CONSUMER.DELETE."+c.stream+"."+c.name, nil)
	}
}

// next takes what is in the channel, up to a batch.
func (c *consumer) next(ctx context.Context, dst []Message) ([]Message, error) {
	if err := c.ask(); err != nil {
		return dst, err
	}
	select {
	case <-ctx.Done():
		return dst, ctx.Err()
	case <-c.reconnected:
		return dst, doubtful(causeReconnect, "the connection was away")
	case <-c.silence.C:
		if quiet := time.Since(c.heard); quiet > 3*c.beat {
			return dst, doubtful(causeSilence, "nothing heard for %v", quiet.Round(time.Millisecond))
		}
		return dst, nil
	case msg := <-c.messages:
		c.heard = time.Now()
		return c.drain(dst, msg)
	}
}

// drain takes a message and those that wait behind it.
func (c *consumer) drain(dst []Message, msg *nats.Msg) ([]Message, error) {
	for bytes := 0; ; {
		var err error
		if dst, err = c.take(dst, msg); err != nil {
			return dst, err
		}
		bytes += len(msg.Data)
		if len(dst) >= maxBatch || bytes >= maxBatchBytes || c.asked <= pullMessages/2 {
			return dst, nil
		}
		select {
		case msg = <-c.messages:
		default:
			return dst, nil
		}
	}
}

// take appends a message, or follows what the server says instead of one.
func (c *consumer) take(dst []Message, msg *nats.Msg) ([]Message, error) {
	meta, ok := parseReply(msg.Reply)
	if !ok {
		return dst, c.status(msg)
	}
	c.asked--
	c.delivered++
	if meta.delivery != c.delivered {
		return dst, doubtful(causeDropped, "delivery %d after %d", meta.delivery, c.delivered-1)
	}
	return append(dst, Message{Msg: msg, Sequence: meta.sequence, Receipt: meta.receipt, left: meta.pending}), nil
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
func (c *consumer) ask() error {
	if c.asked > pullMessages/2 {
		return nil
	}
	request, err := json.Marshal(pull{
		Batch:     pullMessages,
		MaxBytes:  max(pullBytes, c.nc.MaxPayload()+64<<10),
		Expires:   10 * c.beat,
		Heartbeat: c.beat,
	})
	if err != nil {
		return doubtful(causeServer, "encoding pull: %w", err)
	}
	c.asked += pullMessages
	if err := c.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+c.stream+"."+c.name, c.inbox, request); err != nil {
		return doubtful(causeServer, "asking for messages: %w", err)
	}
	return nil
}

// status follows a message of the server's own. Statuses are those of the
// server's pull consumers: 100 an idle heartbeat, 404 and 408 the end of a
// pull, 409 that or the end of the consumer, 503 nobody there.
func (c *consumer) status(msg *nats.Msg) error {
	status, description := msg.Header.Get("Status"), msg.Header.Get("Description")
	unfulfilled := msg.Header.Get("Nats-Pending-Messages")
	switch {
	case status == "100":
		return nil
	case unfulfilled != "" && description != "Consumer Deleted":
		n, err := strconv.Atoi(unfulfilled)
		if err != nil {
			return doubtful(causeServer, "status %s: pending messages %q: %w", status, unfulfilled, err)
		}
		c.asked -= n
		return nil
	case status == "404" || status == "408":
		c.asked = 0
		return nil
	}
	return doubtful(causeServer, "the server ended the consumer: %s %s", status, description)
}
