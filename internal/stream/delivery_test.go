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

// TestIdle: a stream to which nothing comes for longer than a pull lives is
// left in peace, and what then comes is read.
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
	r.wants(upTo(6)...)
	for _, cause := range causes {
		if n := r.rebuilds(cause); n != 0 {
			t.Errorf("%v consumers made anew for %s", n, cause)
		}
	}
}

// TestClosed: reading ends with an error when the connection has ended for good.
func TestClosed(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 3)
	r := s.read(roster.Position{})
	r.await("message 3")
	r.source.(*jetStream).nc.Close()
	kit.Eventually(t, func() bool { return len(r.done) == 1 }, "reading ends")
	if _, err := r.end(); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("got %v, want that of a connection that is closed", err)
	}
}

// TestAnotherName: a position in a stream of another name is none in this one,
// though all else of it is right.
func TestAnotherName(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	r := s.read(roster.Position{})
	r.await("message 5")
	at, _ := r.end()
	at.Proof.Stream = "OTHER"
	r = s.read(at)
	r.await("message 5")
	r.wants(upTo(5)...)
	if r.unread != 1 || r.places[0] != 6 {
		t.Errorf("%d incarnations, places %v", r.unread, r.places)
	}
	if n := testutil.ToFloat64(r.metrics.incarnations.WithLabelValues(string(recreated))); n != 1 {
		t.Errorf("%v recreated streams counted", n)
	}
}

// TestHashOfManyHeaders: the hash of a message doesn't depend on the order in
// which its headers come out of their map, and tells its parts apart.
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
		t.Error("two messages have one hash")
	}
}

// TestDroppedOnTheWay: a message that the subscription has dropped shows in the
// consumer's own count, at the next one.
func TestDroppedOnTheWay(t *testing.T) {
	c := new(consumer)
	next := func(delivery int) error {
		reply := fmt.Sprintf("$JS.ACK.EVENTS.c.1.%d.%d.1700000000000000001.7", 20+delivery, delivery)
		_, err := c.take(nil, &nats.Msg{Reply: reply})
		return err
	}
	if err := errors.Join(next(1), next(2)); err != nil {
		t.Fatal(err)
	}
	if err := next(4); causeOf(err) != causeDropped || err == nil {
		t.Errorf("delivery 4 after 2: %v", err)
	}
}

// TestLargestMessage: a message as large as the server takes can be pulled,
// whatever a pull asks for otherwise.
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
	reader.source.(*jetStream).beat = 3 * time.Second // the message takes its time
	defer func() {
		if n := testutil.ToFloat64(reader.metrics.rebuilds.WithLabelValues(causeStalled)); n != 0 {
			t.Errorf("%v consumers made anew: it was asked for, not pulled", n)
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

// repeating is a stream whose first consumer delivers a message again.
type repeating struct {
	source
	made atomic.Int32
}

func (r *repeating) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := r.source.consume(ctx, from)
	if err == nil && r.made.Add(1) == 1 {
		d = &twice{delivery: d}
	}
	return d, err
}

type twice struct {
	delivery
	first *Message
}

func (d *twice) next(ctx context.Context, dst []Message) ([]Message, error) {
	dst, err := d.delivery.next(ctx, dst)
	if d.first == nil && len(dst) > 0 {
		first := dst[0]
		d.first = &first
		dst = append(dst, first)
	}
	return dst, err
}

// TestDeliveredAgain: a message that comes a second time is not folded as the
// next one; the consumer is in doubt.
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
	r.wants(upTo(6)...)
	if n := r.rebuilds(causeDropped); n != 1 {
		t.Errorf("%v consumers made anew", n)
	}
}

// skipping is a stream whose first consumer passes over message 3.
type skipping struct {
	source
	made  atomic.Int32
	asked atomic.Int32 // for message 3
}

func (s *skipping) consume(ctx context.Context, from uint64) (delivery, error) {
	d, err := s.source.consume(ctx, from)
	if err == nil && s.made.Add(1) == 1 {
		d = passing{d}
	}
	return d, err
}

func (s *skipping) get(ctx context.Context, seq uint64) (Message, error) {
	if seq == 3 {
		s.asked.Add(1)
	}
	return s.source.get(ctx, seq)
}

type passing struct{ delivery }

func (d passing) next(ctx context.Context, dst []Message) ([]Message, error) {
	dst, err := d.delivery.next(ctx, dst)
	return slices.DeleteFunc(dst, func(m Message) bool { return m.Sequence == 3 }), err
}

// TestSkippedOnce: a gap that a fresh consumer doesn't show is none of the
// stream, and nobody asks for what is in it.
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
	r.wants(upTo(5)...)
	if n, asked := r.rebuilds(causeGap), skips.asked.Load(); n != 1 || asked != 0 {
		t.Errorf("%v consumers made anew for a gap, asked %d times for the message", n, asked)
	}
}

// TestOddReplies: whatever answers a question for a message, it is an error and
// no message.
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
	s := &jetStream{nc: nc, js: js, stream: name}
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

// away is a stream of which nobody answers for.
type away struct {
	source
	asked  atomic.Int64
	enough func() // called at the thousandth question
}

var errNobody = errors.New("nobody answers")

func (a *away) look(context.Context) (state, error) {
	if a.asked.Add(1) == 1000 {
		a.enough()
	}
	return state{}, errNobody
}
func (a *away) consume(context.Context, uint64) (delivery, error) { return nil, errNobody }

// TestPauses: while nobody answers, the reader asks a few times a minute, and
// says so a few times a minute.
func TestPauses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log kit.Output
		ctx, stop := context.WithTimeout(t.Context(), time.Minute)
		defer stop()
		a := &away{enough: stop}
		short := throttle.New(slog.NewTextHandler(&log, nil)) // as the service's log is
		defer short.Flush()
		r := newReader(Config{Stream: name, Log: slog.New(short), Registry: prometheus.NewRegistry()}, a)
		if err := r.Run(ctx, roster.Position{}, func(*Batch) {}); err != nil {
			t.Error(err)
		}
		if n := a.asked.Load(); n < 20 || n > 100 {
			t.Errorf("asked %d times in a minute", n)
		}
		if n := log.Count("making the consumer anew"); n < 1 || n > 5 {
			t.Errorf("said %d times in a minute", n)
		}
	})
}

// hollow is a stream that has no message.
type hollow struct {
	source
	asked int
	err   error
}

func (h *hollow) get(context.Context, uint64) (Message, error) {
	h.asked++
	return Message{}, cmp.Or(h.err, errNoMessage)
}

func (h *hollow) look(context.Context) (state, error)       { return state{first: 1, last: 2_000_000}, nil }
func (h *hollow) deleted(context.Context) ([]uint64, error) { return []uint64{500}, nil }

// TestLargeGap: a gap of many is not asked for one by one: days would go by.
func TestLargeGap(t *testing.T) {
	const to = 1_000_000
	for name, ask := range map[string]func(r *reading) (end uint64, err error){
		"absent": func(r *reading) (uint64, error) { return r.missingRun(t.Context(), 1, to) },
		"inventory": func(r *reading) (uint64, error) {
			inv, err := r.inventory(t.Context(), 1, to, nil)
			if err == nil && (inv.of(to/2) != absent || inv.of(500) != deleted) {
				t.Errorf("found %s and %s", inv.of(to/2), inv.of(500))
			}
			return inv.to, err
		},
	} {
		h := new(hollow)
		r := &reading{Reader: newReader(Config{Log: kit.Logger(t), Registry: prometheus.NewRegistry()}, h)}
		if end, err := ask(r); err != nil || end != to || h.asked > 2*maxAbsent {
			t.Errorf("%s: the gap ends at %d, %v, after %d questions", name, end, err, h.asked)
		}
	}
}

// TestUnansweredInventory: that nobody answers for a message is not that it is
// missing.
func TestUnansweredInventory(t *testing.T) {
	r := &reading{Reader: newReader(Config{Log: kit.Logger(t), Registry: prometheus.NewRegistry()}, &hollow{err: errNobody})}
	if _, err := r.inventory(t.Context(), 1, 5, nil); !errors.Is(err, errNobody) {
		t.Errorf("got %v", err)
	}
}
