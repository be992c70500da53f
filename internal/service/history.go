package service

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/history"
	"rollcall/internal/ingest"
	"rollcall/internal/roster"
	"rollcall/internal/stream"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// openHistory opens the history, unless it is turned off.
func (s *service) openHistory() {
	if time.Duration(s.cfg.History) == 0 {
		return
	}
	s.history = history.Open(history.Config{
		Dir: s.cfg.DataDir, Roster: s.roster, Subject: s.cfg.Subjects().Base(), Keep: time.Duration(s.cfg.History), MaxBytes: int64(s.cfg.HistoryMaxBytes), AcceptLoss: uint64(s.cfg.AcceptLoss),
		CaughtUp: func() bool { return s.reader.CaughtUp() },
		Restore:  s.snapshots.LoadUpTo, Read: s.readAgain, Hold: s.folder.hold, Log: s.log, Registry: s.reg,
	})
	s.snapshots.KeepFor = func() uint64 { return s.history.Position().Place }
}

// historyPlace returns the place of the history as one that was assigned.
func (s *service) historyPlace() stream.AssignedPlace {
	if s.history == nil {
		return stream.AssignedPlace{}
	}
	p := s.history.Position()
	return stream.AssignedPlace{Place: p.Place, Sequence: p.Sequence(), Stored: p.Proof.Created, Receipt: p.Proof.Receipt}
}

// readAgain reads the stream from a position on, for the history, over a consumer of its
// own.
func (s *service) readAgain(ctx context.Context, from roster.Position, fold func(history.Decode)) error {
	id, err := s.folder.consumerID()
	if err != nil {
		return err
	}
	reader, err := stream.New(stream.Config{
		Conn: s.other, API: s.cfg.Domain().API(), Stream: string(s.cfg.Stream), Log: s.log.With("for", "history"), Registry: prometheus.NewRegistry(),
		Earlier: func() []roster.Position { return nil }, ID: id + "-history",
		Make: func(context.Context) error { return nil }, // it is for the fold to make it
	})
	if err != nil {
		return err
	}
	decoders := map[string]*ingest.Decoder{}
	return reader.Run(ctx, from, func(b *stream.Batch) {
		fold(func(subject string) *roster.Batch {
			d := decoders[subject]
			if d == nil {
				d = ingest.NewDecoder(s.subjectsOf(subject))
				d.Forgeable = s.sourcesForgeable
				decoders[subject] = d
			}
			return d.Decode(b)
		})
	})
}

// subjectsOf returns the subjects with a base that was configured once.
func (s *service) subjectsOf(base string) rollcallv1.Subjects {
	subjects, err := rollcallv1.NewSubjects(base)
	if err != nil {
		return s.cfg.Subjects()
	}
	return subjects
}
