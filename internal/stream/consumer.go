package stream

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"
)

// The size of a pull. Two are in flight at a time, so that the next messages are
// requested before the last ones have arrived. The channel holds more than
// both: a message that arrives when it is full is lost.
const (
	pullMessages = 40_000
	pullBytes    = 16 << 20
	//guard:set 2*pullMessages+1024 64 "a slow fold drops nothing" TestSlowFold
	channelSize = 2*pullMessages + 1024
)

// pullSubscription is a subscription with one pull in flight at a time, so that the
// messages and bytes still to come from each pull are known: the server sends
// nothing when a pull ends because it reached its number of messages or bytes.
type pullSubscription struct {
	sub             *nats.Subscription
	messages, bytes int // still to come; no pull is in flight when either is 0
}

func (p *pullSubscription) idle() bool { return p.messages <= 0 || p.bytes <= 0 }

// consumer is one consumer on the server and what it has delivered.
type consumer struct {
	*jetStream
	name              string
	subscriptions     [2]pullSubscription
	existence         *nats.Subscription // for the answers to askExistence
	messages          chan *nats.Msg     // from all subscriptions, in order of arrival
	reconnected       chan nats.Status
	beatTicker        *time.Ticker
	pendingAtCreation uint64 // messages pending when it was created
	remaining         uint64 // messages pending after the last one delivered
	delivered         uint64 // messages delivered by this consumer
	halved            bool   // the one pull of half the size was sent
	replies           string // the common prefix of its messages' reply subjects
	lastReceived      time.Time
	readerDone        <-chan struct{} // closed when the reader ends
}

// consume creates the consumer: ephemeral, in memory and without acks, since
// nothing in it is worth keeping.
func (s *jetStream) consume(ctx context.Context, from uint64) (delivery, error) {
	if !s.nc.IsConnected() { // the request would be sent on reconnect, when nobody waits for the answer
		return nil, doubtf(causeReconnect, "not connected: %s", s.nc.Status())
	}
	c := &consumer{jetStream: s, messages: make(chan *nats.Msg, channelSize), lastReceived: time.Now()}
	c.reconnected = s.nc.StatusChanged(nats.CONNECTED)
	c.beatTicker = time.NewTicker(s.beat)
	for i := range c.subscriptions {
		var err error
		if c.subscriptions[i].sub, err = s.nc.ChanSubscribe(s.nc.NewInbox(), c.messages); err != nil {
			c.close()
			return nil, doubtf(causeCreate, "subscribing: %w", err)
		}
	}
	var err error
	if c.existence, err = s.nc.ChanSubscribe(s.nc.NewInbox(), c.messages); err != nil {
		c.close()
		return nil, doubtf(causeCreate, "subscribing: %w", err)
	}
	c.readerDone = ctx.Done()
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	created, err := s.create(ctx, from)
	if err != nil {
		c.close()
		return nil, doubtf(causeCreate, "creating consumer of stream %s: %w", s.stream, err)
	}
	c.name, c.pendingAtCreation = created.CachedInfo().Name, created.CachedInfo().NumPending
	c.remaining = c.pendingAtCreation
	c.lastReceived = time.Now()
	c.beatTicker.Reset(s.beat)
	return c, nil
}

// consumerName returns the name of the consumer: after id, or a unique one if id
// is empty.
func consumerName(id string) string { return "rollcall-" + cmp.Or(id, nuid.Next()) }

// create creates the consumer under the reader's own name. It first deletes the one
// that a crash may have left: the stream may allow only one consumer, and the server
// keeps an unused one for a minute. Creating a consumer that exists would return the
// old one, which has delivered messages already; so each has different metadata, and
// the server refuses instead. If the old one remains, because its deletion was lost
// or denied, the new one gets another name.
func (s *jetStream) create(ctx context.Context, from uint64) (jetstream.Consumer, error) {
	//guard:drop "a start does not wait for a leftover consumer to expire" TestLeftoverConsumer
	s.remove(ctx, s.consumer)
	config := jetstream.ConsumerConfig{
		Name:              s.consumer,
		Metadata:          map[string]string{"rollcall": nuid.Next()},
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       from,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	}
	created, err := s.js.CreateConsumer(ctx, s.stream, config)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		config.Name += "-" + nuid.Next()
		created, err = s.js.CreateConsumer(ctx, s.stream, config)
	}
	return created, err
}

// removeWithin is how long to wait for the deletion of a consumer. Even if it
// fails, the server deletes a consumer that has not been used for a minute.
const removeWithin = time.Second

// remove deletes a consumer if it exists.
func (s *jetStream) remove(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, removeWithin)
	defer cancel()
	_ = s.js.DeleteConsumer(ctx, s.stream, name)
}

func (c *consumer) pending() uint64 { return c.pendingAtCreation }

// close frees the consumer on the server, which would do so itself later.
func (c *consumer) close() {
	c.beatTicker.Stop()
	c.nc.RemoveStatusListener(c.reconnected)
	for _, l := range c.subscriptions {
		if l.sub != nil {
			_ = l.sub.Unsubscribe() // the connection may be gone
		}
	}
	if c.existence != nil {
		_ = c.existence.Unsubscribe()
	}
	if c.name == "" || !c.nc.IsConnected() {
		return
	}
	select {
	case <-c.readerDone: // no consumer follows, so nobody needs the answer
		_ = c.nc.Publish(c.api+"CONSUMER.DELETE."+c.stream+"."+c.name, nil)
	default:
		// Wait for it: carried out later it would delete the next consumer.
		c.remove(context.Background(), c.name)
	}
}

// next appends the messages in the channel to dst, up to a batch. If there are
// none it waits for the first, for at most a beat.
func (c *consumer) next(ctx context.Context, dst []Message) ([]Message, error) {
	if err := c.requestMore(); err != nil {
		return dst, err
	}
	if ctx.Err() != nil {
		return dst, ctx.Err()
	}
	select { // delivered messages count, even if the connection was lost since
	case msg := <-c.messages:
		return c.drain(dst, msg)
	default:
	}
	select {
	case <-ctx.Done():
		return dst, ctx.Err()
	//guard:set c.reconnected "make(chan int)" "messages in flight at a reconnect are requested again" TestReconnected
	case <-c.reconnected:
		return dst, doubtf(causeReconnect, "reconnected")
	case <-c.beatTicker.C:
		quiet := time.Since(c.lastReceived)
		//guard:false "a consumer that somebody deletes is recreated" TestSilence
		if quiet > 3*c.beat {
			return dst, doubtf(causeSilence, "nothing received for %v", quiet.Round(time.Millisecond))
		}
		//guard:false "a consumer whose server is gone is not waited for" TestServerGone
		if quiet > c.beat+c.beat/3 {
			return dst, c.askExistence()
		}
		return dst, nil
	case msg := <-c.messages:
		return c.drain(dst, msg)
	}
}

// drain appends a message and those queued behind it, until the batch is full or
// a subscription is idle.
func (c *consumer) drain(dst []Message, msg *nats.Msg) ([]Message, error) {
	//guard:true "a consumer that exists but sends nothing is recreated" TestSilence
	if msg.Sub != c.existence {
		c.lastReceived = time.Now()
	}
	for bytes := 0; ; {
		var err error
		if dst, err = c.handle(dst, msg); err != nil {
			return dst, err
		}
		bytes += len(msg.Data)
		if len(dst) >= maxBatch || bytes >= maxBatchBytes || c.subscriptions[0].idle() || c.subscriptions[1].idle() {
			return dst, nil
		}
		select {
		case msg = <-c.messages:
		default:
			return dst, nil
		}
	}
}

// handle appends a message of the stream, or handles a status message.
func (c *consumer) handle(dst []Message, msg *nats.Msg) ([]Message, error) {
	meta, ok := c.metadata(msg.Reply)
	if !ok {
		return dst, c.status(msg)
	}
	l := c.subscriptionOf(msg)
	l.messages--
	l.bytes -= msg.Size()
	c.delivered++
	c.remaining = meta.pending
	//guard:false "a message dropped in flight is detected" TestDroppedInFlight
	if meta.delivery != c.delivered {
		return dst, doubtf(causeDropped, "delivery %d after %d", meta.delivery, c.delivered-1)
	}
	return append(dst, Message{Msg: msg, Sequence: meta.sequence, Receipt: meta.receipt}), nil
}

// metadata parses a reply subject without allocating: all reply subjects of one
// consumer have the same prefix.
func (c *consumer) metadata(reply string) (metadata, bool) {
	if c.replies == "" || !strings.HasPrefix(reply, c.replies) {
		at, ok := numbersAt(reply)
		if !ok {
			return metadata{}, false
		}
		c.replies = reply[:at]
	}
	return parseNumbers(reply[len(c.replies):])
}

func (c *consumer) subscriptionOf(msg *nats.Msg) *pullSubscription {
	if msg.Sub == c.subscriptions[0].sub {
		return &c.subscriptions[0]
	}
	return &c.subscriptions[1]
}

// pull is the request for the next messages.
// See https://docs.nats.io/reference/reference-protocols/nats_api_reference.
type pull struct {
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	Expires   time.Duration `json:"expires,omitempty"`
	Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
}

// requestMore starts a pull on each idle subscription. The very first pull is small
// and alone: after the first delivery the stream is asked for its state, and on a
// slow link that answer queues behind all messages that were pulled. The server
// serves two pulls alternately, so one pull has half the size: the two must not end
// together.
func (c *consumer) requestMore() error {
	if c.delivered == 0 {
		return c.requestFirst()
	}
	for i := range c.subscriptions {
		if !c.subscriptions[i].idle() {
			continue
		}
		messages := pullMessages
		if i == 0 && !c.halved {
			c.halved = true
			messages /= 2
		}
		if err := c.pull(&c.subscriptions[i], messages, pullBytes); err != nil {
			return doubtf(causeServer, "requesting messages: %w", err)
		}
	}
	return nil
}

func (c *consumer) requestFirst() error {
	if !c.subscriptions[0].idle() {
		return nil
	}
	if err := c.pull(&c.subscriptions[0], maxBatch, 0); err != nil {
		return doubtf(causeServer, "requesting the first messages: %w", err)
	}
	return nil
}

// pull requests messages. If enough messages are pending to fill both pulls, this
// one needs no expiry and no heartbeats, for which the server would read the clock
// with every message. (The server refuses a heartbeat above half of expires.)
func (c *consumer) pull(l *pullSubscription, messages, bytes int) error {
	l.messages, l.bytes = messages, max(bytes, int(c.nc.MaxPayload())+64<<10)
	p := pull{Batch: l.messages, MaxBytes: l.bytes}
	if uint64(c.subscriptions[0].messages+c.subscriptions[1].messages) > c.remaining {
		p.Expires, p.Heartbeat = 10*c.beat, c.beat
	}
	return c.request(p, l.sub)
}

func (c *consumer) request(p pull, answers *nats.Subscription) error {
	request, err := json.Marshal(p)
	if err != nil {
		return err
	}
	return c.nc.PublishRequest(c.api+"CONSUMER.MSG.NEXT."+c.stream+"."+c.name, answers.Subject, request)
}

// askExistence asks whether the consumer still exists, as a heartbeat is overdue. A consumer is on
// one server of a cluster. One that is in lame duck mode, or is killed, ends it without a word. The
// question is a pull that a consumer refuses, as its heartbeat is above half of its expiry; if there
// is no consumer, the answer is 503.
func (c *consumer) askExistence() error {
	if err := c.request(pull{Batch: 1, MaxBytes: 1, Expires: c.beat, Heartbeat: c.beat}, c.existence); err != nil {
		return doubtf(causeServer, "asking whether the consumer exists: %w", err)
	}
	return nil
}

// status handles a status message of the server. The statuses are those of pull
// consumers: 100 is an idle heartbeat; 409 with "Batch Completed" follows the last
// message of a pull, which has been counted; 404, 408 and 409 with "Message Size
// Exceeds MaxBytes" end a pull early; any other ends the consumer.
func (c *consumer) status(msg *nats.Msg) error {
	status, description := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch {
	case msg.Sub == c.existence && status != "503":
		return nil // it exists
	case status == "100", status == "409" && description == "Batch Completed":
		return nil
	case status == "404", status == "408", status == "409" && description == "Message Size Exceeds MaxBytes":
		//guard:drop "reading continues after an idle period" TestIdle
		c.subscriptionOf(msg).messages = 0
		return nil
	}
	return doubtf(causeServer, "the server ended the consumer: %s %s", status, description)
}
