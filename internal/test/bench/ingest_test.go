package main

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// The streams that the benchmarks read.
var (
	fewProtobuf = history{"few-protobuf", wire.AppendProtobuf, kit.Scale(100_000), kit.Scale(1_000_000)}
	fewJSON     = history{"few-json", wire.AppendJSON, kit.Scale(100_000), kit.Scale(1_000_000)}
	// many starts with the logins of a million pairs.
	many = history{"many", wire.AppendProtobuf, kit.Scale(1_000_000), kit.Scale(7_000_000)}
)

// BenchmarkIngest reads a million events from a stream into a roster, and also with
// the client library's ordered consumer, which discards every message: the ratio is
// what counts.
func BenchmarkIngest(b *testing.B) {
	events := kit.Scale(1_000_000)
	for name, h := range map[string]*history{"protobuf": &fewProtobuf, "json": &fewJSON, "pairs": &many} {
		b.Run(name, func(b *testing.B) {
			url := startServer(b, h.name)
			h.store(b, url)
			b.Run("ordered", func(b *testing.B) {
				js := kit.JetStream(b, kit.Conn(b, url))
				for b.Loop() {
					readOrdered(b, js, events)
				}
				b.ReportMetric(float64(events)*float64(b.N)/b.Elapsed().Seconds(), "events/s")
			})
			b.Run("rollcall", func(b *testing.B) {
				var took time.Duration
				for range b.N {
					s := newPipeline(b, url)
					start := time.Now()
					if err := s.read(b.Context(), uint64(events), func(uint64) {}); err != nil {
						b.Fatal(err)
					}
					took += time.Since(start)
				}
				b.ReportMetric(float64(events)*float64(b.N)/took.Seconds(), "events/s")
			})
		})
	}
}

// pullMessages is how many messages the library's consumer requests at a time. A
// larger number makes it no faster.
const pullMessages = 20_000

func readOrdered(b *testing.B, js jetstream.JetStream, events int) {
	consumer, err := js.OrderedConsumer(b.Context(), rollcallv1.DefaultEventsStream, jetstream.OrderedConsumerConfig{})
	if err != nil {
		b.Fatal(err)
	}
	done := make(chan struct{})
	n := 0
	reading, err := consumer.Consume(func(jetstream.Msg) {
		if n++; n == events {
			close(done)
		}
	}, jetstream.PullMaxMessages(pullMessages))
	if err != nil {
		b.Fatal(err)
	}
	<-done
	reading.Stop()
	<-reading.Closed()
}
