package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/micro"

	"rollcall/internal/query"
	"rollcall/internal/test/kit"
)

// eventsPerSecond is the rate at which the stream is read while questions are asked.
const eventsPerSecond = 100_000

// BenchmarkQuery asks for the report of one machine out of 100,000, one question
// after the other, while the stream is read at 100,000 events a second. To compare,
// it does the same with a bare endpoint of the NATS micro services API that echoes.
func BenchmarkQuery(b *testing.B) {
	for name, serve := range map[string]func(*testing.B, *pipeline, *nats.Conn) string{"echo": serveEcho, "report": serveReport} {
		b.Run(name, func(b *testing.B) {
			url := startServer(b, many.name)
			many.store(b, url)
			s := newPipeline(b, url)
			everybodyOn, resume := make(chan struct{}), make(chan struct{})
			end := background(b, func(ctx context.Context) error { return s.paced(ctx, everybodyOn, resume) })
			<-everybodyOn
			subject := serve(b, s, kit.Conn(b, url))
			nc := kit.Conn(b, url)
			request := oneMachine(s)
			close(resume)
			took := ask(b, nc, subject, request, kit.Scale(20_000))
			end()
			slices.Sort(took)
			b.ReportMetric(micros(took[len(took)/2]), "p50-µs")
			b.ReportMetric(micros(took[len(took)-1-len(took)/100]), "p99-µs")
		})
	}
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1000 }

// paced reads the stream until everybody is logged in, waits for resume, then reads on
// at eventsPerSecond at most.
func (s *pipeline) paced(ctx context.Context, everybodyOn, resume chan struct{}) error {
	var start time.Time
	err := s.read(ctx, uint64(many.events), func(place uint64) {
		switch since := int(place) - many.pairs; {
		case since < 0:
		case start.IsZero():
			close(everybodyOn)
			<-resume
			start = time.Now()
		default:
			due := start.Add(time.Duration(since) * time.Second / eventsPerSecond)
			select {
			case <-ctx.Done():
			case <-time.After(time.Until(due)):
			}
		}
	})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// serveEcho serves an endpoint that echoes the question.
func serveEcho(b *testing.B, _ *pipeline, nc *nats.Conn) string {
	service, err := micro.AddService(nc, micro.Config{Name: "echo", Version: "1.0.0", Endpoint: &micro.EndpointConfig{
		Subject: "echo",
		Handler: micro.HandlerFunc(func(r micro.Request) {
			if err := r.Respond(r.Data()); err != nil {
				b.Error(err)
			}
		}),
	}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := service.Stop(); err != nil {
			b.Error(err)
		}
	})
	return "echo"
}

// serveReport serves the questions of the service.
func serveReport(b *testing.B, s *pipeline, nc *nats.Conn) string {
	background(b, query.New(query.Config{
		Source: s.source(), Conn: nc, Subjects: subjects, Version: "1.0.0", Log: quiet,
	}).Run)
	subject := subjects.Query("report")
	kit.Eventually(b, func() bool {
		_, err := nc.Request(subject, []byte(`{"limit":1}`), time.Second)
		return err == nil
	}, "the service answers")
	return subject
}

// oneMachine returns the request for one machine in the middle of the report: the one
// after a cursor.
func oneMachine(s *pipeline) []byte {
	i, name := 0, ""
	for v := range s.roster.Machines("") {
		if i++; i == s.roster.Status().Machines/2 {
			name = v.Name()
			break
		}
	}
	return fmt.Appendf(nil, `{"cursor":%q,"limit":1}`, base64.RawURLEncoding.EncodeToString([]byte(name)))
}

// ask asks n times, and returns how long each answer took.
func ask(b *testing.B, nc *nats.Conn, subject string, request []byte, n int) []time.Duration {
	took := make([]time.Duration, n)
	for i := range took {
		start := time.Now()
		answer, err := nc.Request(subject, request, 10*time.Second)
		took[i] = time.Since(start)
		if err != nil || answer.Header.Get(micro.ErrorHeader) != "" {
			b.Fatalf("asking %s: %v %v", subject, err, answer)
		}
	}
	return took
}
