package report

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/api"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// newPublisher returns a publisher of the roster, and a connection to its server.
func newPublisher(t testing.TB, r *roster.Roster, options ...func(*server.Options)) (*Publisher, *nats.Conn) {
	t.Helper()
	nc := kit.Conn(t, kit.StartServer(t, options...).URL)
	return NewPublisher(PublisherConfig{
		Source:    source(r),
		JetStream: kit.JetStream(t, nc),
		Subjects:  subjects,
		Interval:  5 * time.Millisecond,
		Log:       kit.Logger(t),
		Registry:  prometheus.NewPedanticRegistry(),
	}), nc
}

// makeStream creates the stream of reports.
func makeStream(t testing.TB, p *Publisher) jetstream.Stream {
	t.Helper()
	stream, err := p.JetStream.CreateStream(t.Context(), jetstream.StreamConfig{
		Name: rollcallv1.DefaultReportsStream, Subjects: subjects.AllReports(), MaxMsgsPerSubject: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

// run runs the publisher until the test ends.
func run(t testing.TB, p *Publisher) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- p.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("running the publisher: %v", err)
		}
	})
}

// subscribe returns everything published from now on, in order.
func subscribe(t testing.TB, nc *nats.Conn) *nats.Subscription {
	t.Helper()
	s, err := nc.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// next returns the next message of a report.
func next(t testing.TB, s *nats.Subscription) *nats.Msg {
	t.Helper()
	for {
		m, err := s.NextMsg(30 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(m.Subject, subjects.Reports()) {
			return m
		}
	}
}

func decode(t testing.TB, data []byte) api.Report {
	t.Helper()
	r, err := api.DecodeReport(data)
	if err != nil {
		t.Fatalf("%v: %s", err, data)
	}
	return r
}

// stored reads the whole report from the stream.
func stored(t testing.TB, stream jetstream.Stream) api.Report {
	t.Helper()
	var pages []api.Report
	for n := 1; n == 1 || n <= pages[0].Pages; n++ {
		m, err := stream.GetLastMsgForSubject(t.Context(), subjects.ReportPage(n))
		if err != nil {
			t.Fatal(err)
		}
		pages = append(pages, decode(t, m.Data))
		if pages[n-1].ID != pages[0].ID || pages[n-1].Page != n {
			t.Fatalf("page %d is page %d of %s, want %s", n, pages[n-1].Page, pages[n-1].ID, pages[0].ID)
		}
	}
	whole, err := api.Join(all(pages...))
	if err != nil {
		t.Fatal(err)
	}
	return whole
}

func results(p *Publisher) (ok, failed, unchanged float64) {
	return testutil.ToFloat64(p.metrics.ok), testutil.ToFloat64(p.metrics.failed), testutil.ToFloat64(p.metrics.unchanged)
}

// textOf returns the text of a report of one page.
func textOf(t testing.TB, r *api.Report) string {
	t.Helper()
	var out strings.Builder
	text := api.NewText(&out)
	if err := errors.Join(text.Write(r), text.Close()); err != nil {
		t.Fatal(err)
	}
	return out.String()
}
