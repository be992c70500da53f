package stream

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/throttle"
)

// TestIdle: a stream that is idle for longer than a pull lives causes no rebuild, and
// what is published after that is read.
func TestIdle(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	s := newSetup(t)
	s.publish(1, 3)
	f := new(faulty)
	r := s.readFaulty(f)
	r.await("message 3")
	<-time.After(stallAfter + 2*time.Second)
	s.publish(4, 6)
	r.await("message 6")
	r.wantMessages(upTo(6)...)
	for _, cause := range causes {
		if n := r.rebuilds(cause); n != 0 {
			t.Errorf("%v consumers recreated for %s", n, cause)
		}
	}
}

// TestClosed: reading ends with an error when the connection is closed for good.
func TestClosed(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	r := s.read(roster.Position{})
	r.await("message 3")
	r.source.(*jetStream).nc.Close()
	kit.Eventually(t, func() bool { return len(r.done) == 1 }, "reading ends")
	if _, err := r.end(); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want that the connection was closed", err)
	}
}

// TestAnotherName: a position of a stream with another name is not one of this
// stream, even if everything else matches.
func TestAnotherName(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	r := s.read(roster.Position{})
	r.await("message 5")
	at, _ := r.end()
	at.Proof.Stream = "OTHER"
	r = s.read(at)
	r.await("message 5")
	r.wantMessages(upTo(5)...)
	if r.unread != 1 || r.places[0] != 6 {
		t.Errorf("%d incarnations, places %v", r.unread, r.places)
	}
	if n := testutil.ToFloat64(r.metrics.incarnations.WithLabelValues(string(recreated))); n != 1 {
		t.Errorf("%v recreated streams counted", n)
	}
}

// TestHashOfManyHeaders: the hash of a message does not depend on the iteration order
// of its headers, and does depend on where the subject ends and the payload begins.
func TestHashOfManyHeaders(t *testing.T) {
	message := func(subject, data string) *Message {
		m := &Message{Msg: &nats.Msg{Subject: subject, Data: []byte(data), Header: nats.Header{}}}
		for i := range 20 {
			m.Header.Set(fmt.Sprintf("Key-%d", i), fmt.Sprint(i))
		}
		return m
	}
	want := message("events", "x").hash()
	for range 20 {
		if got := message("events", "x").hash(); got != want {
			t.Fatalf("hashes %x and %x", got, want)
		}
	}
	a := &Message{Msg: &nats.Msg{Subject: "events.a", Data: []byte("b")}}
	b := &Message{Msg: &nats.Msg{Subject: "events.", Data: []byte("ab")}}
	if a.hash() == b.hash() {
		t.Error("two messages have the same hash")
	}
}

// TestDroppedInFlight: the next message reveals a dropped one by the consumer's
// delivery count.
func TestDroppedInFlight(t *testing.T) {
	c := new(consumer)
	next := func(delivery int) error {
		reply := fmt.Sprintf("$JS.ACK.EVENTS.c.1.%d.%d.1700000000000000001.7", 20+delivery, delivery)
		_, err := c.handle(nil, &nats.Msg{Reply: reply})
		return err
	}
	if err := errors.Join(next(1), next(2)); err != nil {
		t.Fatal(err)
	}
	if err := next(4); causeOf(err) != causeDropped || err == nil {
		t.Errorf("delivery 4 after 2: %v", err)
	}
}

// TestLargestMessage: the largest message that the server accepts can be pulled, even
// if it exceeds the usual size of a pull.
func TestLargestMessage(t *testing.T) {
	const size = pullBytes + 1<<20
	s := &setup{t: t, Server: kit.StartServer(t, func(o *server.Options) {
		o.MaxPayload, o.MaxPending = size+1<<20, 4*size
	})}
	s.js = kit.JetStream(t, kit.Conn(t, s.URL))
	s.create()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if _, err := s.js.Publish(ctx, "events", make([]byte, size)); err != nil {
		t.Fatal(err)
	}
	reader := s.reader(prometheus.NewRegistry())
	reader.source.(*jetStream).beat = 3 * time.Second // the message takes a while to arrive
	defer func() {
		if n := testutil.ToFloat64(reader.metrics.rebuilds.WithLabelValues(causeStalled)); n != 0 {
			t.Errorf("%v consumers recreated: the message was requested, not pulled", n)
		}
	}()
	var got int
	err := reader.Run(ctx, roster.Position{}, func(b *Batch) {
		got = len(b.Messages[0].Data)
		stop()
	})
	if err != nil || got != size {
		t.Errorf("read a message of %d bytes, want %d (%v)", got, size, err)
	}
}

// repeating is a stream whose first consumer delivers a message twice.
type repeating struct {
	source
	consumers atomic.Int32
}

func (r *repeating) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := r.source.consume(ctx, from)
	if err == nil && r.consumers.Add(1) == 1 {
		d = &repeatingDelivery{delivery: d}
	}
	return d, err
}

type repeatingDelivery struct {
	delivery
	first *Message
}

func (d *repeatingDelivery) next(ctx context.Context, dst []Message) ([]Message, error) {
	dst, err := d.delivery.next(ctx, dst)
	if d.first == nil && len(dst) > 0 {
		first := dst[0]
		d.first = &first
		dst = append(dst, first)
	}
	return dst, err
}

// TestDeliveredAgain: a message that is delivered twice is not folded as the next one;
// the consumer is in doubt.
func TestDeliveredAgain(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	r := &run{t: t, done: make(chan error, 1), missing: map[uint64]roster.Loss{}}
	r.Reader = s.reader(prometheus.NewRegistry())
	r.source = &repeating{source: r.source}
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- r.Run(ctx, roster.Position{}, r.fold) }()
	t.Cleanup(func() { r.end() })
	r.await("message 5")
	s.publish(6, 6)
	r.await("message 6")
	r.wantMessages(upTo(6)...)
	if n := r.rebuilds(causeDropped); n != 1 {
		t.Errorf("%v consumers recreated", n)
	}
}

// skipping is a stream whose first consumer skips message 3.
type skipping struct {
	source
	consumers atomic.Int32
	gets      atomic.Int32 // of message 3
}

func (s *skipping) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := s.source.consume(ctx, from)
	if err == nil && s.consumers.Add(1) == 1 {
		d = skippingDelivery{d}
	}
	return d, err
}

func (s *skipping) get(ctx context.Context, seq uint64) (Message, error) {
	if seq == 3 {
		s.gets.Add(1)
	}
	return s.source.get(ctx, seq)
}

type skippingDelivery struct{ delivery }

func (d skippingDelivery) next(ctx context.Context, dst []Message) ([]Message, error) {
	dst, err := d.delivery.next(ctx, dst)
	return slices.DeleteFunc(dst, func(m Message) bool { return m.Sequence == 3 }), err
}

// TestSkippedOnce: a gap that a fresh consumer does not show is not a gap of the
// stream, and none of its messages is requested.
func TestSkippedOnce(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	r := &run{t: t, done: make(chan error, 1), missing: map[uint64]roster.Loss{}}
	r.Reader = s.reader(prometheus.NewRegistry())
	skips := &skipping{source: r.source}
	r.source = skips
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- r.Run(ctx, roster.Position{}, r.fold) }()
	t.Cleanup(func() { r.end() })
	r.await("message 5")
	r.wantMessages(upTo(5)...)
	if n, gets := r.rebuilds(causeGap), skips.gets.Load(); n != 1 || gets != 0 {
		t.Errorf("%v consumers recreated for a gap, message requested %d times", n, gets)
	}
}

// TestOddReplies: any malformed reply to a request for a message is an error, and not
// errNoMessage.
func TestOddReplies(t *testing.T) {
	nc := kit.Conn(t, kit.StartServer(t, kit.WithoutJetStream).URL)
	var answer atomic.Pointer[string]
	if _, err := nc.Subscribe("$JS.API.STREAM.MSG.GET.EVENTS", func(m *nats.Msg) { m.Respond([]byte(*answer.Load())) }); err != nil { //nolint:errcheck // the request times out then
		t.Fatal(err)
	}
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s := &jetStream{api: jetstream.DefaultAPIPrefix, nc: nc, js: js, stream: name}
	for _, odd := range []string{"", "{}", "[]", `{"message":null}`, `{"error":{"code":500,"err_code":10001}}`, `{"message":{"data":1}}`} {
		answer.Store(&odd)
		if m, err := s.get(t.Context(), 1); err == nil || errors.Is(err, errNoMessage) {
			t.Errorf("%s: %+v, %v", odd, m, err)
		}
	}
	none := fmt.Sprintf(`{"error":{"code":404,"err_code":%d}}`, jetstream.JSErrCodeMessageNotFound)
	answer.Store(&none)
	if _, err := s.get(t.Context(), 1); !errors.Is(err, errNoMessage) {
		t.Errorf("%s: %v", none, err)
	}
}

// unreachable is a stream that nobody answers for.
type unreachable struct {
	source
	asked  atomic.Int64
	enough func() // called at the thousandth request
}

var errNoAnswer = errors.New("nobody answers")

func (a *unreachable) info(context.Context) (state, error) {
	if a.asked.Add(1) == 1000 {
		a.enough()
	}
	return state{}, errNoAnswer
}
func (a *unreachable) consume(context.Context, uint64) (delivery, error) { return nil, errNoAnswer }

// TestPauses: while nobody answers, the reader asks and logs a few times a minute
// only.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log kit.Output
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		a := &unreachable{enough: stop}
		short := throttle.New(slog.NewTextHandler(&log, nil)) // as the service's log is
		defer short.Flush()
		r := newReader(Config{Stream: name, Log: slog.New(short), Registry: prometheus.NewRegistry()}, a)
		if err := r.Run(ctx, roster.Position{}, func(*Batch) {}); err != nil {
			t.Error(err)
		}
		if n := a.asked.Load(); n < 20 || n > 100 {
			t.Errorf("asked %d times in a minute", n)
		}
		if n := log.Count("recreating the consumer"); n < 1 || n > 5 {
			t.Errorf("logged %d times in a minute", n)
		}
	})
}

// hollowSource is a stream that has none of its messages.
type hollowSource struct {
	source
	gets int
	err  error
}

func (h *hollowSource) get(context.Context, uint64) (Message, error) {
	h.gets++
	return Message{}, cmp.Or(h.err, errNoMessage)
}

func (h *hollowSource) info(context.Context) (state, error) {
	return state{first: 1, last: 2_000_000}, nil
}
func (h *hollowSource) deleted(context.Context) ([]uint64, error) { return []uint64{500}, nil }

// TestLargeGap: the messages of a large gap are not requested one by one, which would
// take days.
func TestLargeGap(t *testing.T) {
	const to = 1_000_000
	for name, ask := range map[string]func(r *reading) (end uint64, err error){
		"absent": func(r *reading) (uint64, error) { return r.missingRun(t.Context(), 1, to) },
		"check": func(r *reading) (uint64, error) {
			inv, err := r.checkGap(t.Context(), 1, to, nil)
			if err == nil && (inv.findingOf(to/2) != absent || inv.findingOf(500) != deleted) {
				t.Errorf("found %s and %s", inv.findingOf(to/2), inv.findingOf(500))
			}
			return inv.to, err
		},
	} {
		h := new(hollowSource)
		r := &reading{Reader: newReader(Config{Log: kit.Logger(t), Registry: prometheus.NewRegistry()}, h)}
		if end, err := ask(r); err != nil || end != to || h.gets > 2*maxAbsent {
			t.Errorf("%s: the gap ends at %d, %v, after %d requests", name, end, err, h.gets)
		}
	}
}

// TestUnansweredGapCheck: a message is not missing because nobody answers the request
// for it.
func TestUnansweredGapCheck(t *testing.T) {
	r := &reading{Reader: newReader(Config{Log: kit.Logger(t), Registry: prometheus.NewRegistry()}, &hollowSource{err: errNoAnswer})}
	if _, err := r.checkGap(t.Context(), 1, 5, nil); !errors.Is(err, errNoAnswer) {
		t.Errorf("got %v", err)
	}
}
