package main

import (
	"context"
	"sync"
	"testing"
	"time"

	"rollcall/internal/past"
	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// BenchmarkPast reads the stream of BenchmarkLoad: alone; with the maximum number of
// questions about the past in flight, each of which reads the whole stream again; and
// with questions that, unlike in the service, do not pause while the fold is behind.
// ratio is the rate relative to reading alone; past-messages/s is how fast all
// questions together read.
func BenchmarkPast(b *testing.B) {
	var alone float64
	for _, load := range []struct {
		name   string
		behind func(*pipeline) bool
	}{
		{"alone", nil},
		{"asked", func(s *pipeline) bool { return s.reader.Lag() > 10_000 }},
		{"unyielding", func(*pipeline) bool { return false }},
	} {
		b.Run(load.name, func(b *testing.B) {
			url := startServer(b, many.name)
			many.store(b, url)
			var took time.Duration
			var read uint64
			for range b.N {
				s := newPipeline(b, url)
				if load.behind == nil {
					took += loaded(b, s, nil)
					continue
				}
				questions := newPastLoad(b, s, url, func() bool { return load.behind(s) })
				took += loaded(b, s, questions.run)
				read += questions.read
			}
			rate := float64(many.events-many.pairs) * float64(b.N) / took.Seconds()
			if load.behind == nil {
				alone = rate
			}
			b.ReportMetric(rate, "events/s")
			b.ReportMetric(float64(read)/took.Seconds(), "past-messages/s")
			if alone > 0 {
				b.ReportMetric(rate/alone, "ratio")
			}
		})
	}
}

// pastLoad asks questions about the past continuously.
type pastLoad struct {
	*past.Questions
	mu   sync.Mutex
	read uint64
}

func newPastLoad(b *testing.B, s *pipeline, url string, behind func() bool) *pastLoad {
	b.Helper()
	q, err := past.New(past.Config{
		Roster: s.roster, Conn: kit.Conn(b, url), Stream: rollcallv1.DefaultEventsStream, Subjects: subjects,
		Behind: behind, Log: quiet, Registry: s.reg,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(q.Close)
	return &pastLoad{Questions: q}
}

// run asks until the context is done. No event is dated before the moment in question,
// so the messages are read and judged, but none is kept.
func (a *pastLoad) run(ctx context.Context) error {
	var all sync.WaitGroup
	problems := make(chan error, a.Most())
	for range a.Most() {
		all.Go(func() {
			for ctx.Err() == nil {
				if err := a.one(ctx); err != nil && ctx.Err() == nil {
					problems <- err
					return
				}
			}
		})
	}
	all.Wait()
	select {
	case err := <-problems:
		return err
	default:
		return nil
	}
}

// one asks a question until it is answered.
func (a *pastLoad) one(ctx context.Context) error {
	var read uint64
	defer func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.read += read
	}()
	found, err := a.Ask(ctx, past.Question{To: roster.MinDate})
	for err == nil {
		read = found.Read
		cursor := found.Take(found.Rows())
		if cursor == "" {
			return nil
		}
		found, err = a.Continue(ctx, cursor)
	}
	return err
}
