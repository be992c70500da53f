package past

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/roster"
)

// message is one message of the stream.
type message struct {
	*nats.Msg
	sequence uint64
	receipt  roster.Time
}

// retained is the part of a stream that a question reads.
type retained struct {
	js      jetstream.JetStream
	nc      *nats.Conn
	log     *slog.Logger
	stream  string
	created roster.Time
	// first is the first sequence that there was, and receipt its receipt;
	// last is the last that is read.
	first, last uint64
	receipt     roster.Time
}

var errAnother = errors.New("the stream is not the one that the roster was read from")

// apiTimeout is how long the server may take to answer.
const apiTimeout = 5 * time.Second

// look finds out what the stream has, up to the roster's position. The receipt
// is that of the newest message ever read when there is no first one.
func (r *retained) look(ctx context.Context, st roster.Status) error {
	at := st.Position
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := r.js.Stream(ctx, r.stream)
	if err != nil {
		return fmt.Errorf("asking for stream %s: %w", r.stream, err)
	}
	info := s.CachedInfo()
	r.created = roster.TimeOf(info.Created)
	if at.Proof.Stream != r.stream || at.Proof.Created != r.created || at.Sequence() > info.State.LastSeq {
		return fmt.Errorf("stream %s: %w", r.stream, errAnother)
	}
	r.first, r.last = info.State.FirstSeq, at.Sequence()
	if info.State.Msgs == 0 {
		r.first = info.State.LastSeq + 1
		r.receipt = st.Receipt
		return nil
	}
	r.receipt = roster.TimeOf(info.State.FirstTime)
	return nil
}

// What one pull asks for: few enough for memory and for a question that has to
// wait, enough to be fast.
const (
	pullMessages = 2_000
	pullBytes    = 4 << 20
)

// lane reads the messages of one subject, or of all, in their order. Any doubt
// about what was delivered makes its consumer anew after the last message that
// was read.
type lane struct {
	*retained
	subject string // empty: all
	next    uint64 // the first sequence that may come
	ended   bool   // nothing is to come any more

	consumer  string
	sub       *nats.Subscription
	inbox     string
	pulls     int
	delivered uint64 // the consumer's own count
	pending   uint64 // how many it has to deliver
}

// maxTries is how often in a row a lane tries for nothing, over about a minute.
const maxTries = 35

// read returns the next messages; none when there are no more.
func (l *lane) read(ctx context.Context) ([]message, error) {
	var pause time.Duration
	for try := 1; ; try++ {
		if l.ended || l.next > l.last {
			l.ended = true
			l.close()
			return nil, nil
		}
		messages, err := l.pull(ctx)
		if err != nil {
			l.close()
		}
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case len(messages) > 0 || err == nil:
			return messages, nil
		case errors.Is(err, errAnother), try == maxTries:
			return nil, fmt.Errorf("reading stream %s: %w", l.stream, err)
		}
		l.log.Debug("reading the past anew", "seq", l.next, "err", err)
		pause = min(2*pause+20*time.Millisecond, 2*time.Second)
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// open makes the consumer.
func (l *lane) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	s, err := l.js.Stream(ctx, l.stream)
	if err != nil {
		return fmt.Errorf("asking for stream %s: %w", l.stream, err)
	}
	if roster.TimeOf(s.CachedInfo().Created) != l.created {
		return fmt.Errorf("stream %s: %w", l.stream, errAnother)
	}
	made, err := s.CreateConsumer(ctx, jetstream.ConsumerConfig{
		AckPolicy:         jetstream.AckNonePolicy,
		DeliverPolicy:     jetstream.DeliverByStartSequencePolicy,
		OptStartSeq:       l.next,
		FilterSubject:     l.subject,
		MemoryStorage:     true,
		Replicas:          1,
		InactiveThreshold: time.Minute,
	})
	if err != nil {
		return fmt.Errorf("creating a consumer of stream %s: %w", l.stream, err)
	}
	l.consumer, l.delivered, l.pending = made.CachedInfo().Name, 0, made.CachedInfo().NumPending
	l.inbox = l.nc.NewInbox()
	if l.sub, err = l.nc.SubscribeSync(l.inbox + ".*"); err != nil {
		return fmt.Errorf("subscribing: %w", err)
	}
	return nil
}

// close frees the consumer, which the server would do itself later.
func (l *lane) close() {
	if l.sub != nil {
		_ = l.sub.Unsubscribe() // the connection may be gone
		l.sub = nil
	}
	if l.consumer != "" && l.nc.IsConnected() {
		// Nobody waits for the answer.
		_ = l.nc.Publish("$JS.API.CONSUMER.DELETE."+l.stream+"."+l.consumer, nil)
	}
	l.consumer = ""
}

// pull asks for some messages and returns what comes, also with an error.
func (l *lane) pull(ctx context.Context) ([]message, error) {
	if l.sub == nil {
		if err := l.open(ctx); err != nil {
			return nil, err
		}
	}
	if l.pending == 0 {
		l.ended = true
		return nil, nil
	}
	reply, err := l.request()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	var messages []message
	for !l.ended && len(messages) < pullMessages {
		msg, err := l.sub.NextMsgWithContext(ctx)
		switch {
		case err != nil:
			return messages, fmt.Errorf("waiting for messages: %w", err)
		case msg.Reply == "" && msg.Subject != reply:
			continue // the end of an earlier pull
		case msg.Reply == "" && len(messages) == 0:
			return nil, fmt.Errorf("the server says %s %s", msg.Header.Get("Status"), msg.Header.Get("Description"))
		case msg.Reply == "":
			return messages, nil
		}
		if messages, err = l.take(messages, msg); err != nil {
			return messages, err
		}
	}
	return messages, nil
}

// request asks for messages that are there. The server answers with them, and
// says so when it has fewer than asked for, under the subject returned.
func (l *lane) request() (string, error) {
	l.pulls++
	reply := l.inbox + "." + strconv.Itoa(l.pulls)
	request, err := json.Marshal(map[string]any{
		"batch": pullMessages, "max_bytes": max(pullBytes, l.nc.MaxPayload()+64<<10), "no_wait": true,
	})
	if err != nil {
		return "", err
	}
	return reply, l.nc.PublishRequest("$JS.API.CONSUMER.MSG.NEXT."+l.stream+"."+l.consumer, reply, request)
}

// take appends a message, unless it is beyond the last.
func (l *lane) take(messages []message, msg *nats.Msg) ([]message, error) {
	meta, err := msg.Metadata()
	if err != nil {
		return messages, fmt.Errorf("reading a message's numbers: %w", err)
	}
	l.delivered++
	if meta.Sequence.Consumer != l.delivered {
		return messages, fmt.Errorf("delivery %d after %d", meta.Sequence.Consumer, l.delivered-1)
	}
	l.pending = meta.NumPending
	l.ended = l.pending == 0 || meta.Sequence.Stream >= l.last
	l.next = meta.Sequence.Stream + 1
	if meta.Sequence.Stream > l.last {
		return messages, nil
	}
	return append(messages, message{msg, meta.Sequence.Stream, roster.TimeOf(meta.Timestamp)}), nil
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
