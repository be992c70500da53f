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

// What a pull asks for. Two are under way at a time, so that the next messages
// are asked for before the last are in. The channel holds more than both: a
// message that finds it full is dropped for good.
const (
	pullMessages = 40_000
	pullBytes    = 16 << 20
	//guard:set 2*pullMessages+1024 64 "a slow fold drops nothing" TestSlowFold
	channelSize = 2*pullMessages + 1024
)

// lane is a subscription with one pull under way at a time, so that what is
// still to come of each pull is known: the server says nothing when a pull ends
// by its last message or its last byte.
type lane struct {
	sub             *nats.Subscription
	messages, bytes int // still to come; no pull is under way when either is 0
}

func (l *lane) idle() bool { return l.messages <= 0 || l.bytes <= 0 }

// consumer is one consumer on the server and what it has delivered.
type consumer struct {
	*jetStream
	name        string
	lanes       [2]lane
	messages    chan *nats.Msg // of both lanes, in the order of the wire
	reconnected chan nats.Status
	silence     *time.Ticker
	begun       uint64 // messages to come when it was made
	toCome      uint64 // messages after the last that was delivered
	delivered   uint64 // the consumer's own count
	halved      bool   // a pull was made half as long
	replies     string // what the reply subjects of its messages begin with
	heard       time.Time
	ending      <-chan struct{} // closed when the reader ends
}

// consume makes the consumer: ephemeral, in memory and without acks, as nothing
// in it is worth keeping.
func (s *jetStream) consume(ctx context.Context, from uint64) (delivery, error) {
	if !s.nc.IsConnected() { // the request would wait for the connection and be carried out for nobody
		return nil, doubtful(causeReconnect, "the connection is away: %s", s.nc.Status())
	}
	c := &consumer{jetStream: s, messages: make(chan *nats.Msg, channelSize), heard: time.Now()}
	c.reconnected = s.nc.StatusChanged(nats.CONNECTED)
	c.silence = time.NewTicker(s.beat)
	for i := range c.lanes {
		var err error
		if c.lanes[i].sub, err = s.nc.ChanSubscribe(s.nc.NewInbox(), c.messages); err != nil {
			c.close()
			return nil, doubtful(causeCreate, "subscribing: %w", err)
		}
	}
	c.ending = ctx.Done()
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	made, err := s.create(ctx, from)
	if err != nil {
		c.close()
		return nil, doubtful(causeCreate, "creating consumer of stream %s: %w", s.stream, err)
	}
	c.name, c.begun = made.CachedInfo().Name, made.CachedInfo().NumPending
	c.toCome = c.begun
	c.heard = time.Now()
	c.silence.Reset(s.beat)
	return c, nil
}

// consumerName is what the consumer is called by the id of whoever reads.
func consumerName(id string) string { return "rollcall-" + cmp.Or(id, nuid.Next()) }

// create makes the consumer under the reader's own name, in the place of one
// that was left by a crash: a stream may have room for one only, and the server
// keeps that for a minute. Creating what is there already would return it, which
// has delivered before: so no two are described the same. Where the old one stays,
// as its deletion is lost or denied, the new one gets another name.
func (s *jetStream) create(ctx context.Context, from uint64) (jetstream.Consumer, error) {
	//guard:drop "a start does not wait for its own ghost" TestGhost
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
	made, err := s.js.CreateConsumer(ctx, s.stream, config)
	if errors.Is(err, jetstream.ErrConsumerExists) {
		config.Name += "-" + nuid.Next()
		made, err = s.js.CreateConsumer(ctx, s.stream, config)
	}
	return made, err
}

// removeWithin is how long the deletion of a consumer is waited for: whatever
// comes of it, the server frees one that is not used after a minute.
const removeWithin = time.Second

// remove deletes a consumer, if it is there.
func (s *jetStream) remove(ctx context.Context, name string) {
	ctx, cancel := context.WithTimeout(ctx, removeWithin)
	defer cancel()
	_ = s.js.DeleteConsumer(ctx, s.stream, name)
}

func (c *consumer) pending() uint64 { return c.begun }

// close frees the consumer on the server, which would do so itself later.
func (c *consumer) close() {
	c.silence.Stop()
	c.nc.RemoveStatusListener(c.reconnected)
	for _, l := range c.lanes {
		if l.sub != nil {
			_ = l.sub.Unsubscribe() // the connection may be gone
		}
	}
	if c.name == "" || !c.nc.IsConnected() {
		return
	}
	select {
	case <-c.ending: // nobody makes another, and nobody waits for the answer
		_ = c.nc.Publish("$JS.API.CONSUMER.DELETE."+c.stream+"."+c.name, nil)
	default:
		// It is waited for: carried out later it would be the next one's end.
		c.remove(context.Background(), c.name)
	}
}

// next takes what is in the channel, up to a batch.
func (c *consumer) next(ctx context.Context, dst []Message) ([]Message, error) {
	if err := c.ask(); err != nil {
		return dst, err
	}
	if ctx.Err() != nil {
		return dst, ctx.Err()
	}
	select { // what has been delivered counts, whatever became of the connection
	case msg := <-c.messages:
		c.heard = time.Now()
		return c.drain(dst, msg)
	default:
	}
	select {
	case <-ctx.Done():
		return dst, ctx.Err()
	//guard:set c.reconnected "make(chan int)" "what was on its way is asked for again" TestReconnected
	case <-c.reconnected:
		return dst, doubtful(causeReconnect, "the connection was away")
	case <-c.silence.C:
		//guard:false "a consumer that somebody deletes is made anew" TestSilence
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
		if len(dst) >= maxBatch || bytes >= maxBatchBytes || c.lanes[0].idle() || c.lanes[1].idle() {
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
	meta, ok := c.metadata(msg.Reply)
	if !ok {
		return dst, c.status(msg)
	}
	l := c.laneOf(msg)
	l.messages--
	l.bytes -= msg.Size()
	c.delivered++
	c.toCome = meta.pending
	//guard:false "a message dropped on the way is noticed" TestDroppedOnTheWay
	if meta.delivery != c.delivered {
		return dst, doubtful(causeDropped, "delivery %d after %d", meta.delivery, c.delivered-1)
	}
	return append(dst, Message{Msg: msg, Sequence: meta.sequence, Receipt: meta.receipt}), nil
}

// metadata reads a reply subject, without an allocation. Those of one consumer
// all begin the same.
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

func (c *consumer) laneOf(msg *nats.Msg) *lane {
	if msg.Sub == c.lanes[0].sub {
		return &c.lanes[0]
	}
	return &c.lanes[1]
}

// pull is the request for the next messages.
// See https://docs.nats.io/reference/reference-protocols/nats_api_reference.
type pull struct {
	Batch     int           `json:"batch"`
	MaxBytes  int           `json:"max_bytes"`
	Expires   time.Duration `json:"expires,omitempty"`
	Heartbeat time.Duration `json:"idle_heartbeat,omitempty"`
}

// ask starts a pull in each lane that has none. The very first pull is small, and
// alone: the stream is asked about its state once something was delivered, and on a
// slow link that answer queues behind everything that was pulled. The server serves
// two pulls alternately, so one of them is half as long: they must not end together.
func (c *consumer) ask() error {
	if c.delivered == 0 {
		return c.askFirst()
	}
	for i := range c.lanes {
		if !c.lanes[i].idle() {
			continue
		}
		messages := pullMessages
		if i == 0 && !c.halved {
			c.halved = true
			messages /= 2
		}
		if err := c.pull(&c.lanes[i], messages, pullBytes); err != nil {
			return doubtful(causeServer, "asking for messages: %w", err)
		}
	}
	return nil
}

func (c *consumer) askFirst() error {
	if !c.lanes[0].idle() {
		return nil
	}
	if err := c.pull(&c.lanes[0], maxBatch, 0); err != nil {
		return doubtful(causeServer, "asking for the first messages: %w", err)
	}
	return nil
}

// pull asks for messages. A pull that what is to come will fill needs no end
// and no heartbeats, for which the server would look at the clock with every
// message. (A heartbeat above half of expires is refused.)
func (c *consumer) pull(l *lane, messages, bytes int) error {
	l.messages, l.bytes = messages, max(bytes, int(c.nc.MaxPayload())+64<<10)
	ask := pull{Batch: l.messages, MaxBytes: l.bytes}
	if uint64(c.lanes[0].messages+c.lanes[1].messages) > c.toCome {
		ask.Expires, ask.Heartbeat = 10*c.beat, c.beat
	}
	request, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	return c.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+c.stream+"."+c.name, l.sub.Subject, request)
}

// status follows a message of the server's own. Statuses are those of the
// server's pull consumers: 100 an idle heartbeat; 409 with "Batch Completed"
// comes behind the last message of a pull, which has been counted; 404, 408 and
// 409 with "Message Size Exceeds MaxBytes" end a pull early; any other ends the
// consumer.
func (c *consumer) status(msg *nats.Msg) error {
	status, description := msg.Header.Get("Status"), msg.Header.Get("Description")
	switch {
	case status == "100", status == "409" && description == "Batch Completed":
		return nil
	case status == "404", status == "408", status == "409" && description == "Message Size Exceeds MaxBytes":
		//guard:drop "reading goes on after an idle time" TestIdle
		c.laneOf(msg).messages = 0
		return nil
	}
	return doubtful(causeServer, "the server ended the consumer: %s %s", status, description)
}
