package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"rollcall/internal/failpoint"
	"rollcall/internal/roster"
)

// lastSave is how long the snapshot at shutdown may take, so that the whole of a
// shutdown takes less than 5 seconds.
const lastSave = 3 * time.Second

// Run saves a snapshot on every interval, and once more when ctx is done, which
// takes at most 3 seconds. So cancel ctx only after the fold has ended. A failure
// is logged, and the save is retried at the next interval with a new file; the
// earlier snapshots stay. Run returns the error of the last snapshot. every must
// be positive.
func (s *Store) Run(ctx context.Context, r *roster.Roster, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			//guard:set lastSave 100*lastSave "SIGTERM ends within 5 seconds" TestRunEnds
			//guard:set context.WithoutCancel(...) ctx "the end saves what changed" TestRunSavesWhatChanged
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
			defer cancel()
			_, err := s.Save(ctx, r)
			return err
		case <-tick.C:
			if _, err := s.Save(ctx, r); err != nil && ctx.Err() == nil {
				//guard:set s.complain(err) "return err" "a failed save is tried again" TestRunGoesOnAfterFailures
				s.complain(err)
			}
		}
	}
}

// Save writes a snapshot of the roster as it is now, while the fold goes on, and
// removes all but the newest three. It writes nothing and returns the last
// snapshot if that file is there and nothing has changed since: neither the
// position nor the losses, which an operator may accept. If Save fails, the
// earlier snapshots are as they were, and what is left of the new one is no
// snapshot; the next Save begins with a new file. A failure is counted, and
// Failing returns it until a Save succeeds.
func (s *Store) Save(ctx context.Context, r *roster.Roster) (Info, error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	if s.Hold != nil {
		if err := s.Hold(); err != nil {
			err = fmt.Errorf("saving snapshot: %w", err)
			s.judge(err)
			return Info{}, err
		}
	}
	//guard:false "a quiet fleet writes nothing" TestSaveAndLoad
	if last, _ := s.Last(); unchanged(r.Status(), last.Status) && s.there(last) {
		s.recheck()
		return last, nil
	}
	began := time.Now()
	info, at, err := s.save(ctx, r)
	if err != nil {
		err = fmt.Errorf("saving snapshot: %w", err)
		s.judge(err)
		return Info{}, err
	}
	s.metrics.duration.Observe(time.Since(began).Seconds())
	s.last.Store(&info)
	s.judge(nil)
	s.log.Debug("snapshot saved", "file", info.Path, "bytes", info.Size)
	if err := s.folder.prune(at, keep); err != nil {
		s.log.Warn("old snapshots not removed", "err", err)
	}
	failpoint.At("snapshot-pruned")
	return info, nil
}

// unchanged reports whether a roster is the one that was saved. Accepting
// losses changes it without moving its position.
func unchanged(now, saved roster.Status) bool {
	return now.Position == saved.Position && now.Losses == saved.Losses
}

// there reports whether the file of the last snapshot is still there; true if
// there was none.
func (s *Store) there(last Info) bool {
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

// recheck checks, while there is nothing to save, whether saving would still
// fail.
func (s *Store) recheck() {
	if _, failing := s.Failing(); failing == nil {
		return
	}
	err := s.folder.try()
	if err != nil {
		err = fmt.Errorf("trying the folder for snapshots: %w", err)
		s.complain(err)
	}
	s.judge(err)
}

// save does everything but the bookkeeping: it writes, waits, renames and
// verifies.
func (s *Store) save(ctx context.Context, r *roster.Roster) (Info, entry, error) {
	temp, info, err := s.write(ctx, r)
	if err != nil {
		return Info{}, entry{}, err
	}
	place := info.Status.Position.Place
	//guard:false "no dead letter is lost by a crash" TestSaveWaitsForSettled
	if s.Settled != nil {
		if err := s.Settled(ctx, place); err != nil {
			return Info{}, entry{}, s.abandon(temp, fmt.Errorf("waiting for what goes elsewhere up to place %d: %w", place, err))
		}
	}
	failpoint.At("snapshot-settled")
	//guard:set s.folder.free(...) entry{place,1},error(nil) "no snapshot is overwritten" TestTakenPlaceIsNotOverwritten
	at, err := s.folder.free(place)
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
// file is removed: after a failed fsync the system may consider the lost pages
// written, so a second fsync of the same file proves nothing.
func (s *Store) write(ctx context.Context, r *roster.Roster) (string, Info, error) {
	if err := s.folder.make(); err != nil {
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
		//guard:drop "what has its name is on the disk" TestSaveAsksInOrder
		err = f.Sync()
	}
	failpoint.At("snapshot-synced")
	//guard:false "a file not written whole gets no name" TestEveryCallFails
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

// confirm makes a new snapshot's name durable, and reads the file back.
func (s *Store) confirm(ctx context.Context, want Info) error {
	//guard:set s.folder.sync() error(nil) "a snapshot's name survives a crash" TestSaveAsksInOrder
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
		return fmt.Errorf("verifying %s: it is not what was written", want.Path)
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
