package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/handover"
	"rollcall/internal/history"
	"rollcall/internal/lease"
	"rollcall/internal/natsconn"
)

// receiveHandover puts a hand-over in place that was fetched by hand. If the data folder is
// empty, it first fetches one from the active service, if there is or was one.
func (s *service) receiveHandover(ctx context.Context) error {
	place, installed, err := handover.Install(s.cfg.DataDir)
	if err != nil {
		return err
	}
	if installed {
		s.log.Info("begins with what the active rollcall handed over", "place", place)
		return nil
	}
	empty, err := handover.IsEmpty(s.cfg.DataDir)
	if err != nil || !empty || !bool(s.cfg.Standby) {
		return err
	}
	if err := s.connect(ctx); err != nil {
		return err
	}
	js, err := s.cfg.Domain().JetStream(s.other)
	if err != nil {
		return fmt.Errorf("opening JetStream: %w", err)
	}
	if !s.fetch(ctx, js) {
		return ctx.Err()
	}
	s.waiting.clear()
	return s.receiveHandover(ctx)
}

// fetchAgain is how long to wait after the first failed attempt to fetch, fetchSeldom after
// many: what is handed over may be large.
const (
	fetchAgain  = 2 * time.Second
	fetchSeldom = time.Minute
)

// fetch fetches a hand-over, and reports whether there is one: not if no service was ever
// active, or if none has been for longer than a take-over takes: then somebody must begin
// without. As long as there is an active one, there is no other way: without what it knows
// this service would be of no use.
func (s *service) fetch(ctx context.Context, js jetstream.JetStream) bool {
	active, again := time.Now(), fetchAgain // when one was; how long to wait
	for ctx.Err() == nil {
		was, err := lease.WasHeld(ctx, js, s.cfg.Subjects(), s.log)
		if err == nil && !was {
			return false
		}
		asked := err == nil
		if asked {
			_, err = handover.Fetch(ctx, s.other, js, s.cfg.Subjects(), s.cfg.DataDir)
		}
		nobody := errors.Is(err, handover.ErrNobody)
		switch {
		case err == nil:
			return true
		case errors.Is(err, handover.ErrNothing):
			return false
		case nobody && time.Since(active) > 3*time.Duration(s.cfg.StandbyTTL):
			s.log.Warn("begins without a hand-over, as nobody is active", "err", err)
			return false
		case !nobody:
			active = time.Now()
		}
		s.waiting.set(fmt.Errorf("the data folder is empty: waiting for what the active rollcall knows: %w", err))
		s.log.Warn("the data folder is empty, and what the active rollcall knows cannot be fetched: it is tried again", "err", err)
		pause(ctx, again)
		if again = min(2*again, fetchSeldom); nobody || !asked {
			again = fetchAgain
		}
	}
	return false
}

// giver hands over to services that stand by.
func (s *service) giver() *handover.Giver {
	return &handover.Giver{
		Conn: s.other, Open: s.openApart, Subjects: s.cfg.Subjects(), Replicas: s.replicas,
		Version: s.build.Version, Make: s.makeHandover, Log: s.log,
	}
}

// openApart opens JetStream over a connection of its own.
func (s *service) openApart(ctx context.Context) (jetstream.JetStream, error) {
	nc, err := natsconn.Connect(ctx, s.cfg.NATS(), "rollcall hand-over", s.log)
	if err != nil {
		return nil, err
	}
	js, err := s.cfg.Domain().JetStream(nc)
	if err != nil {
		nc.Close()
	}
	return js, err
}

// makeHandover makes a snapshot, and then a copy of the history, which contains at least
// all up to the snapshot's place.
func (s *service) makeHandover(ctx context.Context) (files *handover.Files, err error) {
	info, err := s.snapshots.Save(ctx, s.roster)
	if err != nil {
		return nil, err
	}
	if info.Path == "" {
		return nil, nil
	}
	files = &handover.Files{Place: info.Status.Position.Place}
	if files.Snapshot, err = os.Open(info.Path); err != nil {
		return nil, err
	}
	files.Remove = func() { files.Snapshot.Close() }
	if s.history == nil {
		return files, nil
	}
	if err := s.awaitHistory(ctx, files.Place); err != nil {
		files.Remove()
		return nil, err
	}
	path := filepath.Join(s.cfg.DataDir, "handover-history.tmp")
	_ = os.Remove(path) // of a crash
	err = history.Backup(ctx, s.cfg.DataDir, path)
	if err == nil {
		files.History, err = os.Open(path)
	}
	if err != nil {
		files.Remove()
		return nil, errors.Join(err, os.RemoveAll(path))
	}
	files.Remove = func() {
		files.Snapshot.Close()
		files.History.Close()
		if err := os.Remove(path); err != nil {
			s.log.Warn("the copy of the history that was handed over is not removed", "err", err)
		}
	}
	return files, nil
}

// historyTimeout is how long a hand-over waits for the history to be written.
const historyTimeout = 10 * time.Minute

// awaitHistory waits until the history is written up to a place.
func (s *service) awaitHistory(ctx context.Context, place uint64) error {
	ctx, cancel := context.WithTimeout(ctx, historyTimeout)
	defer cancel()
	//guard:false "what is handed over lacks nothing between snapshot and history" TestEmptyStandby
	for s.history.Position().Place < place {
		// A question makes it write.
		if err := s.history.View(ctx, func(*history.View) error { return nil }); err != nil && !errors.Is(err, history.ErrBusy) {
			return fmt.Errorf("the history is not written up to the snapshot: %w", err)
		}
		if !pause(ctx, 10*time.Millisecond) {
			return fmt.Errorf("the history is not written up to the snapshot: %w", ctx.Err())
		}
	}
	return nil
}
