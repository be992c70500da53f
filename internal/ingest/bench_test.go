package ingest

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/stream"
	"rollcall/internal/testkit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// stored is how many events the stream of the benchmark has.
const stored = 300_000

// BenchmarkIngest reads a stream of events into a roster, and beside it reads
// the same stream with the client library's ordered consumer, throwing every
// message away: the ratio is what counts.
func BenchmarkIngest(b *testing.B) {
	for format, encode := range map[string]func([]byte, *roster.Event) []byte{"protobuf": wire.AppendProtobuf, "json": wire.AppendJSON} {
		b.Run(format, func(b *testing.B) {
			server := testkit.StartServer(b)
			js := testkit.JetStream(b, testkit.Conn(b, server.URL))
			fill(b, js, encode)
			b.Run("ordered", func(b *testing.B) { timed(b, func() { readOrdered(b, js) }) })
			b.Run("rollcall", func(b *testing.B) { timed(b, func() { readIngest(b, server.URL) }) })
		})
	}
}

func timed(b *testing.B, read func()) {
	for b.Loop() {
		read()
	}
	b.ReportMetric(float64(stored)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// fill stores logins and logouts of 100,000 pairs of a user and a machine.
func fill(b *testing.B, js jetstream.JetStream, encode func([]byte, *roster.Event) []byte) {
	b.Helper()
	_, err := js.CreateStream(b.Context(), jetstream.StreamConfig{
		Name: "EVENTS", Subjects: []string{"rollcall.events", "rollcall.events.>"}, AllowDirect: true,
	})
	if err != nil {
		b.Fatal(err)
	}
	now := roster.TimeOf(time.Now())
	for i := range stored {
		pair := i * 7919 % 100_000
		e := roster.Event{
			Type:    []roster.Type{roster.Login, roster.Logout}[i/100_000%2],
			Date:    now - roster.Time(stored-i)*1000,
			Machine: fmt.Sprintf("web-%04d.fra.example.com", pair%10_000),
			Session: roster.Session{User: fmt.Sprintf("j.smith%d", pair/10)},
		}
		if _, err := js.PublishAsync("rollcall.events."+e.Machine, encode(nil, &e)); err != nil {
			b.Fatal(err)
		}
		if i%2000 == 0 {
			<-js.PublishAsyncComplete()
		}
	}
	<-js.PublishAsyncComplete()
}

func readOrdered(b *testing.B, js jetstream.JetStream) {
	consumer, err := js.OrderedConsumer(b.Context(), "EVENTS", jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	n := 0
	reading, err := consumer.Consume(func(jetstream.Msg) {
		if n++; n == stored {
			close(done)
		}
	}, jetstream.PullMaxMessages(20_000))
	if err != nil {
		b.Fatal(err)
	}
	<-done
	reading.Stop()
	<-reading.Closed()
}

func readIngest(b *testing.B, url string) {
	reg := prometheus.NewRegistry()
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		b.Fatal(err)
	}
	nc := testkit.Conn(b, url)
	defer nc.Close()
	reader, err := stream.New(stream.Config{
		Conn: nc, Stream: "EVENTS", Log: testkit.Logger(b), Registry: reg,
		Earlier: func() []roster.Position { return nil },
	})
	if err != nil {
		b.Fatal(err)
	}
	letters, err := NewDeadLetters(nc, subjects, "EVENTS", testkit.Logger(b), reg)
	if err != nil {
		b.Fatal(err)
	}
	r := roster.New(roster.DefaultSettings())
	in := New(r, subjects, letters, reader.CaughtUp, reg)
	ctx, stop := context.WithCancel(b.Context())
	defer stop()
	err = reader.Run(ctx, roster.Position{}, func(batch *stream.Batch) {
		in.Fold(batch)
		if batch.End.Place == stored {
			stop()
		}
	})
	if err != nil {
		b.Fatal(err)
	}
	if st := r.Status(); st.Fates[roster.Applied] != stored {
		b.Fatalf("fates are %v", st.Fates)
	}
}
