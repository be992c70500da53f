package service

import (
	"fmt"
	"time"

	"rollcall/internal/roster"
)

// standing tells the metrics how far the service has read.
type standing struct{ *service }

// Lag is how many messages wait, by the latest known end of the stream.
func (s standing) Lag() uint64 { return s.lag() }

// CaughtUp reports whether all that there was at the start has been read.
func (s standing) CaughtUp() bool { return s.reader.CaughtUp() }

// stale reports that the present state of the stream of events is not known.
func (s *service) stale() bool {
	m := s.monitor.Load()
	return m == nil || !m.current()
}

// lag is how many messages of the stream have no fate yet, by the latest end of the
// stream that the reader or the monitor has seen: after an outage the monitor sees the
// stream first.
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
		return "once since the start, so it stays ready; whether it is now is not known (rollcall_caught_up is 0): the stream of events is out of sight"
	}
	return fmt.Sprintf("%d messages behind", s.lag())
}

// knownUntil is the moment up to which the content of the stream is known. That is now;
// but while messages wait, the receipt of the last one read, and while the stream cannot
// be seen, when it was last seen. A machine not heard since then need not be silent.
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
