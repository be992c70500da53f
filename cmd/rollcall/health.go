package main

import (
	"fmt"
	"time"

	"rollcall/internal/metrics"
	"rollcall/internal/snapshot"
)

// checks are what /readyz looks at. They are asked before everything is there.
func (s *service) checks() []metrics.Check {
	return []metrics.Check{
		{Name: "caught up", Decides: true, Run: s.checkCaughtUp},
		{Name: "nats", Run: s.checkNATS},
		{Name: "snapshot", Run: s.checkSnapshot},
		{Name: "stream", Run: s.checkStream},
	}
}

func (s *service) checkCaughtUp() (bool, string) {
	reader := s.caughtUp.Load()
	switch {
	case reader == nil:
		return false, "starting"
	case !reader.CaughtUp():
		return false, fmt.Sprintf("replaying, %d messages to go", reader.Lag())
	}
	return true, fmt.Sprintf("%d messages behind", reader.Lag())
}

// checkNATS does not ask the connection, which may take seconds to answer while
// it tries to come back.
func (s *service) checkNATS() (bool, string) {
	switch {
	case s.natsUp.Load() == nil:
		return false, "connecting"
	case s.natsAway.Load():
		return false, "RECONNECTING"
	}
	return true, "CONNECTED"
}

// checkSnapshot shows the last snapshot. It does not hold while none can be
// saved; the service is ready without: what is lost by a crash is time, because
// it then reads the stream from an earlier place.
func (s *service) checkSnapshot() (bool, string) {
	if s.natsUp.Load() == nil {
		return false, "starting"
	}
	since, failing := s.snapshots.Failing()
	state := describeLast(s.snapshots)
	if failing != nil {
		return false, fmt.Sprintf("failing since %s: %v; the last: %s", since.UTC().Format(time.RFC3339), failing, state)
	}
	return true, state
}

// checkStream shows by what the stream of events may lose messages.
func (s *service) checkStream() (bool, string) {
	known := s.risks.Load()
	if known == nil {
		return false, "starting"
	}
	return known.state()
}

func describeLast(s *snapshot.Store) string {
	last, ok := s.Last()
	if !ok {
		return "none yet"
	}
	return fmt.Sprintf("place %d, written %s, state_digest %x",
		last.Status.Position.Place, last.Written.UTC().Format(time.RFC3339), last.StateDigest[:])
}
