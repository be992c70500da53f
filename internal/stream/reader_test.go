package stream

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "EVENTS"

// setup is a server with a stream, and publishes to it.
type setup struct {
	*kit.Server
	t      *testing.T
	js     jetstream.JetStream
	stream jetstream.Stream
	// earlier are the positions of earlier snapshots.
	earlier  []roster.Position
	assigned func(context.Context) ([]AssignedPlace, error)
	id       string
}

func newSetup(t *testing.T, change ...func(*jetstream.StreamConfig)) *setup {
	s := &setup{Server: kit.StartServer(t), t: t}
	s.js = kit.JetStream(t, kit.Conn(t, s.URL))
	s.create(change...)
	return s
}

func (s *setup) create(change ...func(*jetstream.StreamConfig)) {
	s.t.Helper()
	config := jetstream.StreamConfig{Name: name, Subjects: []string{"events"}, Storage: jetstream.FileStorage, AllowDirect: true}
	for _, c := range change {
		c(&config)
	}
	s.stream = kit.CreateStream(s.t, s.js, config)
}

func (s *setup) publish(from, to int) {
	s.t.Helper()
	for i := from; i <= to; i++ {
		msg := &nats.Msg{Subject: "events", Data: fmt.Appendf(nil, "message %d", i)}
		if i%3 == 2 { // the proof covers headers too
			msg.Header = nats.Header{"B": {"2", "3"}, "A": {"1"}}
		}
		// A stream that was just restored may not take messages yet.
		if _, err := s.js.PublishMsg(s.t.Context(), msg, jetstream.WithRetryAttempts(20)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// run is one run of a reader and what it has folded.
type run struct {
	*Reader
	t    *testing.T
	stop context.CancelFunc
	done chan error
	reg  *prometheus.Registry

	mu            sync.Mutex
	at            roster.Position
	got           []string
	places        []uint64
	missing       map[uint64]roster.Loss // by the place before the loss
	unread        int                    // incarnations whose end was not read
	caughtUpEarly bool                   // it had caught up before anything was read
}

func (s *setup) read(from roster.Position) *run {
	s.t.Helper()
	r := &run{t: s.t, at: from, done: make(chan error, 1), reg: prometheus.NewRegistry(), missing: map[uint64]roster.Loss{}}
	reader := s.reader(r.reg)
	r.Reader = reader
	ctx, stop := context.WithCancel(context.Background())
	r.stop = stop
	go func() { r.done <- reader.Run(ctx, from, r.fold) }()
	s.t.Cleanup(func() { r.end() })
	return r
}

// reader returns a reader with a fast heartbeat.
func (s *setup) reader(reg *prometheus.Registry) *Reader {
	s.t.Helper()
	r, err := New(Config{
		Conn: kit.Conn(s.t, s.URL), Stream: name, Log: kit.Logger(s.t), Registry: reg,
		Earlier: func() []roster.Position { return s.earlier }, AssignedPlaces: s.assigned, ID: s.id,
		Make: func(context.Context) error { s.create(); return nil },
	})
	if err != nil {
		s.t.Fatal(err)
	}
	r.source.(*jetStream).beat = 100 * time.Millisecond
	return r
}

func (r *run) fold(b *Batch) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.caughtUpEarly = r.caughtUpEarly || len(r.got) == 0 && r.CaughtUp()
	if len(b.Messages) == 0 && b.End.Place > r.at.Place {
		r.missing[r.at.Place] = b.Missing
	}
	if b.Unread {
		r.unread++
	}
	for _, m := range b.Messages {
		if m.Place != r.at.Place+1 {
			r.t.Errorf("place %d after %d", m.Place, r.at.Place)
		}
		r.at.Place = m.Place
		r.got = append(r.got, string(m.Data))
		r.places = append(r.places, m.Place)
	}
	r.at = b.End
}

// end stops the run and returns its position and error.
func (r *run) end() (roster.Position, error) {
	r.stop()
	err, ok := <-r.done
	if ok {
		close(r.done)
	}
	return r.at, err
}

func (r *run) await(message string) {
	r.t.Helper()
	kit.Eventually(r.t, func() bool {
		select {
		case err := <-r.done:
			close(r.done)
			r.t.Fatalf("the reader ended: %v", err)
		default:
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.Contains(r.got, message)
	}, message+" was read")
}

// wantMessages checks that exactly these messages were read, once each, in order.
func (r *run) wantMessages(numbers ...int) {
	r.t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	var want []string
	for _, n := range numbers {
		want = append(want, fmt.Sprintf("message %d", n))
	}
	if !slices.Equal(r.got, want) {
		r.t.Errorf("read %d messages %.200q, want %d", len(r.got), r.got, len(want))
	}
}

func upTo(n int) []int {
	var all []int
	for i := 1; i <= n; i++ {
		all = append(all, i)
	}
	return all
}

// TestResume: reading may end anywhere and resumes there; the position has the proof
// of its last message.
func TestResume(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 700)
	first := s.read(roster.Position{})
	first.await("message 700")
	kit.Eventually(t, first.CaughtUp, "caught up")
	at, err := first.end()
	if err != nil {
		t.Fatal(err)
	}
	first.wantMessages(upTo(700)...)
	if at.Place != 700 || at.Sequence() != 700 || at.Proof.Sequence != 700 || at.Proof.Stream != name || at.Proof.Hash == (roster.Hash{}) {
		t.Errorf("position is %+v", at)
	}
	s.publish(701, 703)
	second := s.read(at)
	second.await("message 703")
	s.publish(704, 704)
	second.await("message 704")
	second.wantMessages(701, 702, 703, 704)
	if lag := second.Lag(); lag != 0 {
		t.Errorf("lag is %d", lag)
	}
}

// TestBase: a place is the sequence plus the base.
func TestBase(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 2)
	r := s.read(roster.Position{})
	r.await("message 2")
	at, _ := r.end()
	at.Base, at.Place = 1000, 1002
	s.publish(3, 3)
	r = s.read(at)
	r.await("message 3")
	if !slices.Equal(r.places, []uint64{1003}) {
		t.Errorf("places are %v", r.places)
	}
}

// publishAgain publishes as soon as JetStream answers again.
func (s *setup) publishAgain(from, to int) {
	kit.Eventually(s.t, func() bool {
		_, err := s.js.AccountInfo(s.t.Context())
		return err == nil
	}, "JetStream is back")
	s.publish(from, to)
}

// TestConsumerDeleted: a consumer that somebody deletes is recreated, whether or not
// the server reports the deletion.
func TestConsumerDeleted(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 10)
	r := s.read(roster.Position{})
	for i := range 3 {
		r.await(fmt.Sprintf("message %d", 10+i))
		for consumer := range s.stream.ListConsumers(t.Context()).Info() {
			if err := s.stream.DeleteConsumer(t.Context(), consumer.Name); err != nil {
				t.Fatal(err)
			}
		}
		s.publish(11+i, 11+i)
	}
	r.await("message 13")
	r.wantMessages(upTo(13)...)
}

// TestGaps: messages that the stream does not have are lost, each for its reason, and
// only once a fresh consumer has shown the gap again.
func TestGaps(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 20)
	for _, seq := range []uint64{7, 8, 15} {
		if err := s.stream.DeleteMsg(t.Context(), seq); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.stream.Purge(t.Context(), jetstream.WithPurgeSequence(4)); err != nil {
		t.Fatal(err)
	}
	r := s.read(roster.Position{})
	r.await("message 20")
	r.wantMessages(4, 5, 6, 9, 10, 11, 12, 13, 14, 16, 17, 18, 19, 20)
	want := map[uint64]roster.Loss{0: roster.BaselineLost, 6: roster.Deleted, 14: roster.Deleted}
	if fmt.Sprint(r.missing) != fmt.Sprint(want) {
		t.Errorf("missing are %v, want %v", r.missing, want)
	}
	at, _ := r.end()
	s.publish(21, 30)
	if err := s.stream.Purge(t.Context(), jetstream.WithPurgeSequence(26)); err != nil {
		t.Fatal(err)
	}
	r = s.read(at)
	r.await("message 30")
	r.wantMessages(26, 27, 28, 29, 30)
	if r.missing[20] != roster.Truncated {
		t.Errorf("missing are %v", r.missing)
	}
}

// TestRecreated: another stream under the same name is read from its first
// message, and its messages get places after all that were assigned.
func TestRecreated(t *testing.T) {
	s := newSetup(t)
	s.publish(1, 5)
	r := s.read(roster.Position{})
	r.await("message 5")
	at, _ := r.end()
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	s.create()
	s.publish(6, 7)
	r = s.read(at)
	r.await("message 7")
	r.wantMessages(6, 7)
	if !slices.Equal(r.places, []uint64{6, 7}) || r.unread != 1 {
		t.Errorf("places are %v, unread ends %d", r.places, r.unread)
	}
	// Again, while it is being read; only the reader recreates it.
	if err := s.js.DeleteStream(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		_, err := s.js.Publish(t.Context(), "events", []byte("message 8"), jetstream.WithRetryAttempts(0))
		return err == nil
	}, "the stream is recreated")
	r.await("message 8")
	if last := r.places[len(r.places)-1]; last != 8 || r.unread != 2 {
		t.Errorf("places are %v, unread ends %d", r.places, r.unread)
	}
}

// TestSlowFold: a fold slower than the stream drops nothing, since no more is
// requested than the channel can hold. While nothing is in doubt one consumer reads
// everything, pull after pull.
func TestSlowFold(t *testing.T) {
	s := newSetup(t)
	const n = 60_000
	data := make([]byte, 200)
	for i := range n {
		if _, err := s.js.PublishAsync("events", data); err != nil {
			t.Fatal(err)
		}
		if i%1000 == 0 {
			<-s.js.PublishAsyncComplete()
		}
	}
	<-s.js.PublishAsyncComplete()
	reg := prometheus.NewRegistry()
	reader := s.reader(reg)
	reader.source.(*jetStream).beat = 3 * time.Second // so that a slow machine does not count as silence
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	got := 0
	err := reader.Run(ctx, roster.Position{}, func(b *Batch) {
		if got += len(b.Messages); got == n {
			stop()
		}
		(&Message{Msg: &nats.Msg{Data: make([]byte, 1<<20)}}).hash() // takes a while
	})
	if err != nil || got != n {
		t.Errorf("read %d of %d messages, error %v", got, n, err)
	}
	for _, cause := range causes {
		if n := testutil.ToFloat64(reader.metrics.rebuilds.WithLabelValues(cause)); n != 0 {
			t.Errorf("%v consumers were recreated: %s", n, cause)
		}
	}
}

func TestMetadata(t *testing.T) {
	want := metadata{sequence: 22, delivery: 3, pending: 7, receipt: 1700000000000000001}
	for _, reply := range []string{
		"$JS.ACK.EVENTS.c.1.22.3.1700000000000000001.7",
		"$JS.ACK.hub.ACCOUNT.EVENTS.c.1.22.3.1700000000000000001.7",
		"$JS.ACK._.ACCOUNT.EVENTS.c.1.22.3.1700000000000000001.7.token",
	} {
		if got, ok := new(consumer).metadata(reply); !ok || got != want {
			t.Errorf("%s: %+v, %v", reply, got, ok)
		}
	}
	for _, reply := range []string{
		"", "x", "_INBOX.a.b", "$JS.NAK.EVENTS.c.1.22.3.1.7", "$JS.ACK.EVENTS.c.1.22.3.1.x", "$JS.ACK.EVENTS.c.1.22.3.1", "$JS.ACK.EVENTS.c.1.22.3.1.-7",
		"$JS.ACK.EVENTS.c.1.22.3.1..", "$JS.ACK.E.c.1.22.3.99999999999999999999.7", "$JS.ACK.a.b.c.d.e.f.g.h", strings.Repeat(".", 100),
	} {
		if got, ok := new(consumer).metadata(reply); ok {
			t.Errorf("%q: %+v", reply, got)
		}
	}
}

// TestPullRequest: the server reads durations as nanoseconds, and an omitted one as
// none.
func TestPullRequest(t *testing.T) {
	for want, ask := range map[string]pull{
		`{"batch":1,"max_bytes":2,"expires":1000000000,"idle_heartbeat":3}`: {Batch: 1, MaxBytes: 2, Expires: time.Second, Heartbeat: 3},
		`{"batch":1,"max_bytes":2}`:                                         {Batch: 1, MaxBytes: 2},
	} {
		if got, err := json.Marshal(ask); err != nil || string(got) != want {
			t.Errorf("%s, %v; want %s", got, err, want)
		}
	}
}
