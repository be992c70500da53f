package service

import (
	"fmt"
	"time"

	"rollcall/internal/roster"
)

// readProgress provides the metrics with the reading progress.
type readProgress struct{ *service }

// Lag is how many messages wait, by the last known end of the stream.
func (s readProgress) Lag() uint64 { return s.lag() }

// CaughtUp reports whether everything in the stream at the start has been read.
func (s readProgress) CaughtUp() bool { return s.reader.CaughtUp() }

// stale reports whether the present state of the stream of events is unknown.
func (s *service) stale() bool {
	m := s.monitor.Load()
	return m == nil || !m.current()
}

// lag is how many messages of the stream have no fate yet, by the last end of the
// stream that the reader or the monitor has seen: after an outage the monitor sees it
// first.
func (s *service) lag() uint64 {
	lag := s.reader.Lag()
	if m := s.monitor.Load(); m != nil {
		lag = max(lag, m.waiting(s.roster.Status().Position))
	}
	return lag
}

// behindText describes how many messages wait.
func (s *service) behindText() string {
	if s.stale() {
		return "caught up earlier, so still ready; the present lag is unknown (rollcall_caught_up is 0): the state of the stream of events is unknown"
	}
	return fmt.Sprintf("%d messages behind", s.lag())
}

// knownUntil is the moment up to which the content of the stream is known: now, or, while
// messages wait, the receipt of the last one read, or, while the state of the stream is
// unknown, when it was last seen. A machine may have sent events after that moment, so it
// must not count as silent since then.
func (s *service) knownUntil() time.Time {
	if read := s.watchdog.receipt.Load(); s.reader.Lag() > 0 && read > 0 {
		return roster.Time(read).Time()
	}
	m := s.monitor.Load()
	if m.current() {
		return time.Now()
	}
	return m.seen.Load().at
}
