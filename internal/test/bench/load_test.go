package main

import (
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"rollcall/internal/httpd"
	"rollcall/internal/metrics"
	"rollcall/internal/natsconn"
	"rollcall/internal/report"
	"rollcall/internal/snapshot"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// interval is that of snapshots and reports while the stream is read: a fifth of the
// default, so that a run has several.
var interval = time.Duration(kit.Scale(int(6 * time.Second)))

// BenchmarkLoad reads six million events into a roster of a million sessions on
// 100,000 machines, alone and with each of the service's other tasks running.
func BenchmarkLoad(b *testing.B) {
	for _, load := range []struct {
		name string
		run  func(*testing.B, *pipeline, string) func(context.Context) error
	}{
		{"alone", func(*testing.B, *pipeline, string) func(context.Context) error { return nil }},
		{"snapshots", snapshots},
		{"scrapes", scrapes},
		{"reports", reports},
	} {
		b.Run(load.name, func(b *testing.B) {
			url := startServer(b, many.name)
			many.store(b, url)
			var took time.Duration
			for range b.N {
				s := newPipeline(b, url)
				took += loaded(b, s, load.run(b, s, url))
			}
			events := many.events - many.pairs
			b.ReportMetric(float64(events)*float64(b.N)/took.Seconds(), "events/s")
		})
	}
}

// loaded returns how long reading took after everybody had logged in. The load starts
// at that moment.
func loaded(b *testing.B, s *pipeline, load func(context.Context) error) time.Duration {
	var start time.Time
	end := func() {}
	err := s.read(b.Context(), uint64(many.events), func(place uint64) {
		if start.IsZero() && place >= uint64(many.pairs) {
			start = time.Now()
			if load != nil {
				end = background(b, load)
			}
		}
	})
	took := time.Since(start)
	end()
	if err != nil {
		b.Fatal(err)
	}
	return took
}

// snapshots returns a load that saves snapshots to disk.
func snapshots(b *testing.B, s *pipeline, _ string) func(context.Context) error {
	store, err := snapshot.Open(b.TempDir(), "bench", quiet, s.reg)
	if err != nil {
		b.Fatal(err)
	}
	return func(ctx context.Context) error { return store.Run(ctx, s.roster, interval) }
}

// reports returns a load that publishes reports.
func reports(b *testing.B, s *pipeline, url string) func(context.Context) error {
	js := kit.JetStream(b, kit.Conn(b, url))
	_, err := natsconn.Prepare(b.Context(), js, natsconn.Streams{
		Subjects: subjects, Events: rollcallv1.DefaultEventsStream,
		Reports: rollcallv1.DefaultReportsStream, DeadLetters: rollcallv1.DefaultDeadLettersStream,
	}, quiet)
	if err != nil {
		b.Fatal(err)
	}
	return report.NewPublisher(report.PublisherConfig{
		Source: s.source(), JetStream: js, Subjects: subjects, Interval: interval, Log: quiet, Registry: s.reg,
	}).Run
}

// source returns the source of reports. The roster counts as caught up, as if the
// messages read were new ones.
func (s *pipeline) source() report.Source {
	return report.Source{Roster: s.roster, Stream: rollcallv1.DefaultEventsStream, CaughtUp: func() bool { return true }}
}

// scrapes returns a load that requests the metrics every second, compressed, as
// Prometheus does.
func scrapes(b *testing.B, s *pipeline, _ string) func(context.Context) error {
	s.reg.MustShow(metrics.NewCollector(s.roster, s.reader, metrics.Build{}, many.pairs))
	web, err := httpd.Listen(httpd.ServerConfig{Addr: "127.0.0.1:0", Gatherer: s.reg, Log: quiet})
	if err != nil {
		b.Fatal(err)
	}
	background(b, web.Serve)
	url := "http://" + web.Addr().String() + "/metrics"
	return func(ctx context.Context) error {
		tick := time.NewTicker(time.Duration(kit.Scale(int(time.Second))))
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-tick.C:
				if err := scrape(url); err != nil {
					return err
				}
			}
		}
	}
}

// scrape reads a response to its end without decompressing it, so as not to measure
// the client.
func scrape(url string) error {
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	request.Header.Set("Accept-Encoding", "gzip")
	request.Close = true
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return err
}
