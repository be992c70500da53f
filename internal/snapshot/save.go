package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"time"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
)

// finalSaveTimeout bounds the snapshot at shutdown, so that the whole shutdown takes
// less than 5 seconds.
const finalSaveTimeout = 3 * time.Second

// Run saves a snapshot at every interval, and once more, in at most 3 seconds, when
// ctx is done; so cancel ctx only after the fold has ended. A failed save is logged,
// and retried at the next interval with a new file; the earlier snapshots stay. Run
// returns the error of the last save. every must be positive.
func (s *Store) Run(ctx context.Context, r *roster.Roster, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			//guard:set finalSaveTimeout 100*finalSaveTimeout "the service stops within 5 seconds" TestRunEndsInTime
			//guard:set context.WithoutCancel(...) ctx "shutdown saves what changed" TestRunSavesWhatChanged
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), finalSaveTimeout)
			defer cancel()
			_, err := s.Save(ctx, r)
			return err
		case <-tick.C:
			if _, err := s.Save(ctx, r); err != nil && ctx.Err() == nil {
				//guard:set s.logFailure(err) "return err" "a failed save is retried" TestRunRetries
				s.logFailure(err)
			}
		}
	}
}

// Save writes a snapshot of the roster as it is now, while the fold continues, and
// removes all but the newest three. If neither the position nor the losses (which
// an operator may accept) have changed since the last snapshot, and its file still
// exists, Save writes nothing and returns that one. If Save fails, the earlier
// snapshots are unchanged, and the new file, if any of it is left, does not have the
// name of a snapshot; the next Save starts with a new file. A failure is counted,
// and Failing returns it until a Save succeeds.
func (s *Store) Save(ctx context.Context, r *roster.Roster) (Info, error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if s.EnsureFolder != nil {
		if err := s.EnsureFolder(); err != nil {
			err = fmt.Errorf("saving snapshot: %w", err)
			s.recordResult(err)
			return Info{}, err
		}
	}
	//guard:false "a quiet fleet writes nothing" TestSaveAndLoad
	if last, _ := s.Last(); unchanged(r.Status(), last.Status) && s.fileExists(last) {
		s.recheck()
		return last, nil
	}
	began := time.Now()
	info, at, err := s.save(ctx, r)
	if err != nil {
		err = fmt.Errorf("saving snapshot: %w", err)
		s.recordResult(err)
		return Info{}, err
	}
	s.metrics.duration.Observe(time.Since(began).Seconds())
	s.last.Store(&info)
	s.recordResult(nil)
	s.log.Debug("snapshot saved", "file", info.Path, "bytes", info.Size)
	if err := s.folder.prune(at, keepCount, s.keepFor()); err != nil {
		s.log.Warn("old snapshots not removed", "err", err)
	}
	failpoint.At("snapshot-pruned")
	return info, nil
}

// keepFor returns the place of KeepFor.
func (s *Store) keepFor() uint64 {
	if s.KeepFor == nil {
		return math.MaxUint64
	}
	return s.KeepFor()
}

// unchanged reports whether a roster is the one that was saved. Accepting losses
// changes a roster but not its position.
func unchanged(now, saved roster.Status) bool {
	return now.Position == saved.Position && now.Losses == saved.Losses
}

// fileExists reports whether the file of the last snapshot still exists; true if
// there was none.
func (s *Store) fileExists(last Info) bool {
	if last.Path == "" {
		return true
	}
	f, err := s.folder.disk.open(last.Path)
	if err != nil {
		return !errors.Is(err, fs.ErrNotExist)
	}
	f.Close()
	return true
}

// recheck checks, while there is nothing to save, whether the cause of a failure is
// gone.
func (s *Store) recheck() {
	if _, failing := s.Failing(); failing == nil {
		return
	}
	err := s.folder.probe()
	if err != nil {
		err = fmt.Errorf("probing the folder for snapshots: %w", err)
		s.logFailure(err)
	}
	s.recordResult(err)
}

// save writes a temporary file, waits for dead letters to be stored, renames the
// file and verifies it.
func (s *Store) save(ctx context.Context, r *roster.Roster) (Info, entry, error) {
	temp, info, err := s.write(ctx, r)
	if err != nil {
		return Info{}, entry{}, err
	}
	place := info.Status.Position.Place
	//guard:false "no dead letter is lost by a crash" TestSaveWaitsForDeadLetters
	if s.AwaitStored != nil {
		if err := s.AwaitStored(ctx, place); err != nil {
			return Info{}, entry{}, s.abandon(temp, fmt.Errorf("waiting for dead letters up to place %d to be stored: %w", place, err))
		}
	}
	failpoint.At("snapshot-letters-stored")
	//guard:set s.folder.freeName(...) entry{place,1},error(nil) "no snapshot is overwritten" TestSecondSnapshotOfPlace
	at, err := s.folder.freeName(place)
	if err == nil {
		info.Path = s.folder.path(at.String())
		err = s.folder.disk.rename(temp, info.Path)
	}
	if err != nil {
		return Info{}, entry{}, s.abandon(temp, err)
	}
	failpoint.At("snapshot-renamed")
	//guard:set s.confirm(...) error(nil) "a snapshot that cannot be read replaces none" TestSaveVerifies
	if err := s.confirm(ctx, info); err != nil {
		return Info{}, entry{}, s.abandon(info.Path, err)
	}
	failpoint.At("snapshot-verified")
	return info, at, nil
}

// abandon removes the file of a failed snapshot, and returns why it failed.
func (s *Store) abandon(path string, why error) error {
	if err := s.folder.disk.remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; then %w", why, err)
	}
	return why
}

// write writes a snapshot to a temporary file and syncs it. If that fails, the
// file is removed and never synced again: after a failed fsync the system may
// consider the lost pages written, so a second one proves nothing.
func (s *Store) write(ctx context.Context, r *roster.Roster) (string, Info, error) {
	if err := s.folder.create(); err != nil {
		return "", Info{}, err
	}
	if err := s.folder.sweep(); err != nil {
		s.log.Warn("unfinished snapshots not removed", "err", err)
	}
	f, err := s.folder.disk.create(s.folder.dir, tempPattern)
	if err != nil {
		return "", Info{}, err
	}
	failpoint.At("snapshot-made")
	info, err := s.encode(interruptible{ctx, f}, r)
	if err == nil {
		failpoint.At("snapshot-written")
		//guard:drop "a file is on the disk before it gets its name" TestSaveCallOrder
		err = f.Sync()
	}
	failpoint.At("snapshot-synced")
	//guard:false "an incomplete file gets no name" TestEveryCallFails
	if closed := f.Close(); err == nil {
		err = closed
	}
	failpoint.At("snapshot-closed")
	if err != nil {
		return "", Info{}, s.abandon(f.Name(), err)
	}
	return f.Name(), info, nil
}

// encode writes the roster as it is now. The fold copies machines for the cut
// only while encode runs.
func (s *Store) encode(w io.Writer, r *roster.Roster) (Info, error) {
	enc := r.Encode()
	defer enc.Close()
	return Write(w, enc, Header{Written: time.Now().Round(0), Version: s.version, Settings: r.Settings()})
}

// confirm makes a new snapshot's name durable, and verifies the file by reading it
// back.
func (s *Store) confirm(ctx context.Context, want Info) error {
	//guard:set s.folder.sync() error(nil) "a snapshot's name survives a crash" TestSaveCallOrder
	if err := s.folder.sync(); err != nil {
		return err
	}
	failpoint.At("snapshot-dir-synced")
	f, err := s.folder.disk.open(want.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := Inspect(interruptible{ctx, f})
	if err != nil {
		return fmt.Errorf("verifying %s: %w", want.Path, err)
	}
	//guard:false "a snapshot of something else replaces none" TestSaveVerifies
	if got.StateDigest != want.StateDigest || got.Size != want.Size {
		return fmt.Errorf("verifying %s: content differs from what was written", want.Path)
	}
	return nil
}

// interruptible is a file whose reads and writes fail once its context is done.
type interruptible struct {
	ctx  context.Context
	file handle
}

func (i interruptible) Read(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	return i.file.Read(p)
}

func (i interruptible) Write(p []byte) (int, error) {
	if err := i.ctx.Err(); err != nil {
		return 0, err
	}
	failpoint.At("snapshot-write")
	return i.file.Write(p)
}
