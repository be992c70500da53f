package snapshot

import (
	"context"
	"errors"
	"sync"
	"time"
)

// complainEvery is how often at most it is told that snapshots cannot be saved.
const complainEvery = 20 * time.Second

// trouble is what keeps snapshots from being saved; err is nil when nothing
// does.
type trouble struct {
	mu    sync.Mutex
	err   error
	since time.Time
	told  time.Time // when the log was last told
}

// Failing returns since when snapshots cannot be saved, and why the last one
// could not; a nil error when nothing is wrong. It never waits for the disk.
func (s *Store) Failing() (since time.Time, err error) {
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	return s.trouble.since, s.trouble.err
}

// judge notes how writing to the disk has ended: with err, or well. A failure
// is counted; one that was given up is none.
func (s *Store) judge(err error) {
	if errors.Is(err, context.Canceled) {
		return
	}
	t := &s.trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	switch {
	case err == nil && t.err != nil:
		if !t.told.Before(t.since) {
			s.log.Info("snapshots can be saved again", "failed_for", time.Since(t.since).Round(time.Millisecond).String())
		}
		t.since = time.Time{}
	case err != nil && t.err == nil:
		t.since = time.Now()
	}
	t.err = err
	if err != nil {
		s.metrics.errors.Inc()
	}
}

// complain tells the log, unless it was told a moment ago.
func (s *Store) complain(err error) {
	t := &s.trouble
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.told.IsZero() && time.Since(t.told) < complainEvery {
		return
	}
	t.told = time.Now()
	s.log.Error("no snapshot saved; the earlier ones stay", "err", err)
}
