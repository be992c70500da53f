package snapshot

import (
	"context"
	"errors"
	"sync"
	"time"
)

// trouble is what keeps snapshots from being saved; err is nil if nothing does.
type trouble struct {
	mu    sync.Mutex
	err   error
	since time.Time
}

// Failing returns since when snapshots cannot be saved, and why the last save
// failed; a nil error when nothing is wrong. It never waits for the disk.
func (s *Store) Failing() (since time.Time, err error) {
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	return s.trouble.since, s.trouble.err
}

// judge records how writing to the disk has ended: with err, or well. A failure
// is counted; a canceled write is none.
func (s *Store) judge(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	t := &s.trouble
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

// complain logs an error.
func (s *Store) complain(err error) {
	s.log.Error("no snapshot saved; the earlier ones stay", "err", err)
}
