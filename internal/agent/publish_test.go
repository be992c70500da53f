package agent

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/agent/spool"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

func testSubjects(t *testing.T) rollcallv1.Subjects {
	subjects, err := rollcallv1.NewSubjects("rollcall")
	if err != nil {
		t.Fatal(err)
	}
	return subjects
}

func openSpool(t *testing.T, dir string) *spool.Spool {
	s, err := spool.Open(dir, spool.Config{MachineID: "m", Log: kit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// appendLogins appends the next n events to the agent's spool.
func appendLogins(t *testing.T, a *Agent, n int) {
	s := a.Spool
	for range n {
		number := s.Next()
		e := roster.Event{Type: roster.Login, Machine: a.Machine, Date: roster.Time(number), Session: roster.Session{User: "lane", ID: fmt.Sprint(number)}, Origin: s.Origin(), Number: number}
		if err := s.Append(spool.Record{Number: number, Payload: wire.AppendJSON(nil, &e), State: []byte("{}")}); err != nil {
			t.Error(err)
		}
	}
}

// events reads the stream from its beginning.
func events(t *testing.T, js jetstream.JetStream) (messages []roster.Message) {
	t.Helper()
	c, err := js.OrderedConsumer(t.Context(), rollcallv1.DefaultEventsStream, jetstream.OrderedConsumerConfig{InactiveThreshold: 5 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	d := wire.NewDecoder(testSubjects(t))
	for {
		batch, err := c.FetchNoWait(100_000)
		if err != nil {
			t.Fatal(err)
		}
		n := len(messages)
		for raw := range batch.Messages() {
			meta, err := raw.Metadata()
			if err != nil {
				t.Fatal(err)
			}
			read := roster.Message{Place: meta.Sequence.Stream, Receipt: roster.TimeOf(meta.Timestamp)}
			if refusal := d.Decode(raw.Subject(), raw.Headers().Get(rollcallv1.HeaderContentType), raw.Data(), &read.Event); refusal != nil {
				t.Fatal(refusal)
			}
			messages = append(messages, read)
		}
		if len(messages) == n {
			return messages
		}
	}
}

// fold returns the roster of all messages of a stream.
func fold(messages []roster.Message) *roster.Roster {
	r := roster.New(roster.DefaultSettings())
	b := roster.Batch{Messages: messages}
	if n := len(messages); n > 0 {
		b.End.Place = messages[n-1].Place
	}
	r.Fold(&b)
	return r
}

// stored returns the numbers of the events in the stream, and how many messages it has.
func stored(t *testing.T, js jetstream.JetStream) (numbers []uint64, messages int) {
	t.Helper()
	all, seen := events(t, js), map[uint64]bool{}
	for _, m := range all {
		if !seen[m.Event.Number] {
			numbers = append(numbers, m.Event.Number)
		}
		seen[m.Event.Number] = true
	}
	return numbers, len(all)
}

// TestEndWithoutAcks: an agent that the server does not answer, such as one whose permissions
// lack the subject of answers, ends soon.
func TestEndWithoutAcks(t *testing.T) {
	server := kit.StartServer(t)
	got, err := kit.Conn(t, server.URL).SubscribeSync("rollcall.events.>") // and never answers
	if err != nil {
		t.Fatal(err)
	}
	a := &Agent{Config: Config{Machine: "web1", Subjects: testSubjects(t), Spool: openSpool(t, t.TempDir()), Log: kit.Logger(t)}}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- a.Publish(ctx, func(_ context.Context, options ...nats.Option) (*nats.Conn, error) {
			return kit.Conn(t, server.URL, options...), nil
		})
	}()
	appendLogins(t, a, 1)
	if _, err := got.NextMsg(time.Minute); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	end()
	if err := <-ended; err != nil || time.Since(began) > ackWithin/2 {
		t.Errorf("ended after %v: %v", time.Since(began), err)
	}
	if waiting := a.Spool.Stats().Waiting; waiting != 1 {
		t.Errorf("%d events wait, want the one that was not acked", waiting)
	}
}

// TestStatusHasProblem: what the agent cannot write is in its status, until it can.
func TestStatusHasProblem(t *testing.T) {
	dir := t.TempDir()
	a := &Agent{Config: Config{Machine: "web1", Subjects: testSubjects(t), Spool: openSpool(t, dir), Log: kit.Logger(t)}}
	record := spool.Record{Number: 1, Payload: []byte("{}"), State: []byte("{}")}
	a.pending = []spool.Record{record}
	if err := a.Spool.Close(); err != nil {
		t.Fatal(err)
	}
	ctx, end := context.WithCancel(t.Context())
	end()
	if err := a.flush(ctx); err == nil {
		t.Error("written to a spool that is closed")
	}
	if got := a.Status().Problem; !strings.Contains(got, "the spool is not written: ") {
		t.Errorf("the problem is %q", got)
	}
	a.Spool = openSpool(t, dir)
	if err := a.flush(t.Context()); err != nil || a.Status().Problem != "" {
		t.Errorf("%v; the problem is %q", err, a.Status().Problem)
	}
}

// TestPublish: every event of the spool gets into the stream, in order, while the server is
// restarted, and while there is no stream; and none is published again once it is stored.
func TestPublish(t *testing.T) {
	server := kit.StartServer(t)
	dir := t.TempDir()
	s := openSpool(t, dir)
	a := &Agent{Config: Config{Machine: "web 1", Subjects: testSubjects(t), Spool: s, Log: kit.Logger(t)}}
	connect := func(_ context.Context, options ...nats.Option) (*nats.Conn, error) {
		return kit.Conn(t, server.URL, options...), nil
	}
	ctx, end := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- a.Publish(ctx, connect) }()
	appendLogins(t, a, 100) // there is no stream yet
	js := kit.JetStream(t, kit.Conn(t, server.URL))
	kit.CreateStream(t, js, jetstream.StreamConfig{Name: rollcallv1.DefaultEventsStream, Subjects: []string{"rollcall.events.>"}})
	for range 3 {
		appendLogins(t, a, 60)
		server.Restart()
		appendLogins(t, a, 40)
	}
	kit.Eventually(t, func() bool { return s.Stats().Waiting == 0 }, "all is stored")
	end()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	numbers, messages := stored(t, js)
	if len(numbers) != 400 {
		t.Fatalf("%d events are stored, want 400", len(numbers))
	}
	for i, n := range numbers {
		if n != uint64(i+1) {
			t.Fatalf("event %d is number %d", i+1, n)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The next life publishes nothing again.
	a.Spool = openSpool(t, dir)
	ctx, end = context.WithCancel(t.Context())
	go func() { ended <- a.Publish(ctx, connect) }()
	appendLogins(t, a, 1)
	kit.Eventually(t, func() bool { return a.Spool.Stats().Waiting == 0 }, "the next event is stored")
	end()
	<-ended
	if again, more := stored(t, js); len(again) != 401 || more != messages+1 {
		t.Errorf("%d events and %d messages, want 401 and %d", len(again), more, messages+1)
	}
}
