package service

import (
	"context"
	"encoding/hex"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"rollcall/internal/api"
	"rollcall/internal/changes"
	"rollcall/internal/ingest"
	"rollcall/internal/metrics"
	"rollcall/internal/natsconn"
	"rollcall/internal/query"
	"rollcall/internal/report"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
)

// wire connects the parts: reader → ingest → roster → snapshots, reports,
// changes, answers, metrics.
func (s *service) wire(js jetstream.JetStream) error {
	if err := s.wireReading(js); err != nil {
		return err
	}
	source := report.Source{
		Roster: s.roster, Stream: string(s.cfg.Stream), CaughtUp: s.reader.CaughtUp,
		SilentAfter: time.Duration(s.cfg.SilentAfter), Stale: s.stale, KnownUntil: s.knownUntil,
	}
	s.instance = nuid.Next()
	s.wireStandby(js)
	s.wireAnswers(js, source)
	build := metrics.Build(s.build)
	collector := metrics.NewCollector(s.roster, readProgress{s}, build, int(s.cfg.MetricsMaxMachines))
	collector.Silent = func(heard roster.Time, every time.Duration) bool {
		return source.Silent(heard, every, time.Now())
	}
	collector.Stale, collector.SourceName = s.stale, s.sourceName
	s.reg.MustShow(collector)
	if file := string(s.cfg.ExpectedFile); file != "" {
		counted, err := newExpected(file, s.roster, s.reader.CaughtUp, s.log)
		if err != nil {
			return err
		}
		s.reg.MustRegister(counted)
	}
	s.caughtUp.Store(s.reader)
	return nil
}

// wireReading connects the parts from the stream to the roster.
func (s *service) wireReading(js jetstream.JetStream) error {
	subjects := s.cfg.Subjects()
	id, err := s.folder.consumerID()
	if err != nil {
		return err
	}
	assigned := &assignedPlaces{s.other, s.cfg.Domain().API(), subjects, string(s.cfg.ReportsStream), string(s.cfg.DeadlettersStream), s.log, s.historyPlace()}
	s.reader, err = stream.New(stream.Config{
		Conn: s.reading, API: s.cfg.Domain().API(), Stream: string(s.cfg.Stream), Log: s.log, Registry: s.reg,
		Earlier: s.earlier, AssignedPlaces: assigned.places, ID: id,
		Make: func(ctx context.Context) error {
			_, err := natsconn.Prepare(ctx, js, s.streams(), s.log)
			if m := s.monitor.Load(); m != nil && ctx.Err() == nil {
				m.missing.setFailure(err)
			}
			return err
		},
	})
	if err != nil {
		return err
	}
	if s.letters, err = ingest.NewDeadLetters(s.other, subjects, string(s.cfg.Stream), s.log, s.reg); err != nil {
		return err
	}
	s.ingest = ingest.New(s.roster, subjects, s.letters, s.reader.CaughtUp, s.reg)
	s.ingest.Forgeable, s.ingest.SourceName = s.sourcesForgeable, s.sourceName
	if s.history != nil {
		s.ingest.Folded = s.history.Put
	}
	//guard:drop "no dead letter is lost by a crash" ./internal/test/faults:TestSnapshotWaitsForLetters
	s.snapshots.AwaitStored = s.letters.AwaitStored
	return nil
}

// sourcesForgeable reports whether publishers may write the header that says from where a
// message was sourced. While there is no connection, that is not known: nothing is read.
func (s *service) sourcesForgeable() bool {
	return !natsconn.ProvesSources(s.reading.ConnectedServerVersion())
}

// wireAnswers connects what reads the roster: reports, changes, answers.
func (s *service) wireAnswers(js jetstream.JetStream, source report.Source) {
	subjects, fence := s.cfg.Subjects(), s.fenceOf()
	s.publisher = report.NewPublisher(report.PublisherConfig{
		Source: source, JetStream: js, Subjects: subjects, Reports: string(s.cfg.ReportsStream),
		Interval: time.Duration(s.cfg.ReportInterval), Fence: fence, Log: s.log, Registry: s.reg,
	})
	s.changes = changes.NewPublisher(changes.Config{
		Roster: s.roster, CaughtUp: s.reader.CaughtUp, Stale: s.stale, Conn: s.other, Subjects: subjects, Log: s.log, Registry: s.reg,
		Instance: s.instance, Fence: fence, Silent: source.SilentAt,
	})
	s.questions = query.New(query.Config{
		Source: source, Conn: s.other, Subjects: subjects, Version: s.build.Version, Log: s.log,
		Lag: s.lag, Snapshot: s.lastSnapshot, Checks: s.failingChecks, History: s.history,
		Sources: s.sources, Instance: s.instance, Settings: digest(&s.cfg), Registry: s.reg, Fence: fence, Role: s.role(),
	})
}

// earlier returns the positions of the snapshots, the newest first.
func (s *service) earlier() []roster.Position {
	positions, err := s.snapshots.Positions()
	if err != nil {
		s.log.Error("reading the positions of the snapshots failed", "err", err)
	}
	return positions
}

// lastSnapshot describes the last snapshot for answers; nil if there is none.
func (s *service) lastSnapshot() *api.Snapshot {
	last, ok := s.snapshots.Last()
	if !ok {
		return nil
	}
	return &api.Snapshot{
		Place: last.Status.Position.Place, Written: last.Written.UTC(), Size: last.Size,
		StateDigest: hex.EncodeToString(last.StateDigest[:]),
	}
}
