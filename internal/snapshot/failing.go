package snapshot

import (
	"context"
	"errors"
	"sync"
	"time"
)

// failure is why the last snapshot could not be saved; err is nil if it could.
type failure struct {
	mu    sync.Mutex
	err   error
	since time.Time
}

// Failing returns since when snapshots cannot be saved, and why the last save
// failed; a nil error if saving works. It never waits for the disk.
func (s *Store) Failing() (since time.Time, err error) {
	s.failure.mu.Lock()
	defer s.failure.mu.Unlock()
	return s.failure.since, s.failure.err
}

// recordResult records the result of writing to the disk. A failure is counted; a
// canceled write is not one.
func (s *Store) recordResult(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	t := &s.failure
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && t.err != nil:
		s.log.Info("snapshots can be saved again", "failed_for", time.Since(t.since).Round(time.Millisecond).String())
		t.since = time.Time{}
	case err != nil && t.err == nil:
		t.since = time.Now()
	}
	t.err = err
	if err != nil {
		s.metrics.errors.Inc()
	}
}

func (s *Store) logFailure(err error) {
	s.log.Error("snapshot not saved; the earlier ones stay", "err", err)
}
