package snapshot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"rollcall/internal/roster"
)

const (
	// lastSave is how long the snapshot at shutdown may take: less than the 30
	// seconds after which Kubernetes kills a process.
	lastSave = 4 * time.Second
	// complainEvery is how often at most a failing Save is told.
	complainEvery = 20 * time.Second
)

// Run saves a snapshot on every interval, and once more when ctx is done, which
// takes at most 4 seconds. So end it only after the fold has ended. A failure
// is logged, and tried again at the next interval with a new file; the earlier
// snapshots stay. Run returns the error of the last snapshot. every must be
// positive.
func (s *Store) Run(ctx context.Context, r *roster.Roster, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastSave)
			defer cancel()
			_, err := s.Save(ctx, r)
			return err
		case <-tick.C:
			if _, err := s.Save(ctx, r); err != nil && ctx.Err() == nil {
				s.complain(err)
			}
		}
	}
}

func (s *Store) complain(err error) {
	if !s.complained.IsZero() && time.Since(s.complained) < complainEvery {
		return
	}
	s.complained = time.Now()
	s.log.Error("no snapshot saved; the earlier ones stay", "err", err)
}

// Save writes a snapshot of the roster as it is now, while the fold goes on,
// and drops all but the newest three. If the position is that of the last
// snapshot, nothing is written and that one is returned. When it fails the
// earlier snapshots are as they were, and nothing is left of the new one.
func (s *Store) Save(ctx context.Context, r *roster.Roster) (Info, error) {
	s.saving.Lock()
	defer s.saving.Unlock()
	last, _ := s.Last()
	if r.Status().Position == last.Status.Position {
		return last, nil
	}
	began := time.Now()
	info, at, err := s.save(ctx, r)
	if err != nil {
		if !errors.Is(err, context.Canceled) { // given up is not failed
			s.metrics.errors.Inc()
		}
		return Info{}, fmt.Errorf("saving snapshot: %w", err)
	}
	s.metrics.duration.Observe(time.Since(began).Seconds())
	s.last.Store(&info)
	s.log.Debug("snapshot saved", "file", info.Path, "bytes", info.Size)
	if err := s.folder.prune(at, keep); err != nil {
		s.log.Warn("old snapshots not removed", "err", err)
	}
	return info, nil
}

// save does all but the bookkeeping: file, wait, name, verification.
func (s *Store) save(ctx context.Context, r *roster.Roster) (Info, entry, error) {
	temp, info, err := s.write(ctx, r)
	if err != nil {
		return Info{}, entry{}, err
	}
	place := info.Status.Position.Place
	if s.Settled != nil {
		if err := s.Settled(ctx, place); err != nil {
			return Info{}, entry{}, abandon(temp, fmt.Errorf("waiting for what goes elsewhere up to place %d: %w", place, err))
		}
	}
	at, err := s.folder.free(place)
	if err == nil {
		info.Path = s.folder.path(at.String())
		err = os.Rename(temp, info.Path)
	}
	if err != nil {
		return Info{}, entry{}, abandon(temp, err)
	}
	if err := s.confirm(ctx, info); err != nil {
		return Info{}, entry{}, abandon(info.Path, err)
	}
	return info, at, nil
}

// abandon removes the file of a snapshot that failed, and returns why.
func abandon(path string, why error) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w; then %w", why, err)
	}
	return why
}

// write writes a snapshot to a temporary file, down to the disk. Of one that
// fails nothing is left: after an fsync that failed the system may take the
// lost pages for written, so a second one on the same file proves nothing.
func (s *Store) write(ctx context.Context, r *roster.Roster) (string, Info, error) {
	f, err := os.CreateTemp(string(s.folder), tempPattern)
	if err != nil {
		return "", Info{}, err
	}
	info, err := s.encode(interruptible{ctx, f}, r)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return "", Info{}, abandon(f.Name(), err)
	}
	return f.Name(), info, nil
}

// encode writes the roster as it is now; only while it runs does the fold work
// for the cut.
func (s *Store) encode(w io.Writer, r *roster.Roster) (Info, error) {
	enc := r.Encode()
	defer enc.Close()
	return Write(w, enc, Header{Written: time.Now().Round(0), Version: s.version, Settings: r.Settings()})
}

// confirm makes a new snapshot's name last, and reads it from the disk again.
func (s *Store) confirm(ctx context.Context, want Info) error {
	if err := s.folder.sync(); err != nil {
		return err
	}
	f, err := os.Open(want.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	got, err := Inspect(interruptible{ctx, f})
	if err != nil {
		return fmt.Errorf("verifying %s: %w", want.Path, err)
	}
	if got.StateDigest != want.StateDigest || got.Size != want.Size {
		return fmt.Errorf("verifying %s: it is not what was written", want.Path)
	}
	return nil
}

// interruptible is a file that fails once its context is done.
type interruptible struct {
	ctx  context.Context
	file *os.File
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
	return i.file.Write(p)
}
