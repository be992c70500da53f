package broker

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// What is said again and again is said complaintBurst times in complaintWindow.
const (
	complaintBurst  = 4
	complaintWindow = time.Minute
	complaintKinds  = 1000 // remembered at most
)

// complaints logs what may come thousands of times a second: of one kind no
// more than a few a minute, with how many were left out in between.
type complaints struct {
	log *slog.Logger

	mu    sync.Mutex
	kinds map[string]*tally
}

type tally struct {
	since         time.Time
	said, skipped int
}

func newComplaints(log *slog.Logger) *complaints {
	return &complaints{log: log, kinds: make(map[string]*tally)}
}

// say logs the message unless its kind was logged too often of late.
func (c *complaints) say(level slog.Level, kind, message string, args ...any) {
	skipped, ok := c.admit(kind, time.Now())
	if !ok {
		return
	}
	if skipped > 0 {
		args = append(args, "left_out", skipped)
	}
	c.log.Log(context.Background(), level, message, args...)
}

// admit reports whether one more of this kind may be said, and how many were
// not since the last that was.
func (c *complaints) admit(kind string, now time.Time) (skipped int, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t := c.kinds[kind]
	if t == nil {
		if len(c.kinds) >= complaintKinds {
			clear(c.kinds)
		}
		t = &tally{since: now}
		c.kinds[kind] = t
	}
	if now.Sub(t.since) >= complaintWindow {
		t.since, t.said = now, 0
	}
	if t.said >= complaintBurst {
		t.skipped++
		return 0, false
	}
	t.said++
	skipped, t.skipped = t.skipped, 0
	return skipped, true
}
