package service

import (
	"fmt"
	"time"

	"rollcall/internal/roster"
)

// standing is how far the service has read, for the metrics.
type standing struct{ *service }

// Lag is how many messages wait, as far as was ever seen.
func (s standing) Lag() uint64 { return s.lag() }

// CaughtUp reports whether all that there was at the start has been read.
func (s standing) CaughtUp() bool { return s.reader.CaughtUp() }

// stale reports that it is not known how the stream of events stands now.
func (s *service) stale() bool {
	m := s.monitor.Load()
	return m == nil || !m.current()
}

// lag is how many messages of the stream have no fate yet, as far as was ever
// seen: by the reader, or by the monitor, which sees the stream again before the
// reader does.
func (s *service) lag() uint64 {
	lag := s.reader.Lag()
	if m := s.monitor.Load(); m != nil {
		lag = max(lag, m.waiting(s.roster.Status().Position))
	}
	return lag
}

// behindText says how many messages wait.
func (s *service) behindText() string {
	if s.stale() {
		return "once since the start, so it stays ready; whether it is now is not known (rollcall_caught_up is 0): the stream of events is out of sight"
	}
	return fmt.Sprintf("%d messages behind", s.lag())
}

// knownUntil is the moment up to which it is known what the stream has: now;
// while messages wait, the receipt of the last that was read; while the stream
// is out of sight, when it was last seen. Who was not heard since then need not
// be silent.
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
