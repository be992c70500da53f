package service

import (
	"fmt"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/httpd"
	"rollcall/internal/natsconn"
	"rollcall/internal/snapshot"
)

// checks returns the checks of /readyz. They also run during the start, before all parts
// exist.
func (s *service) checks() []httpd.Check {
	checks := []httpd.Check{
		{Name: "caught up", Decides: true, Run: s.checkCaughtUp},
		{Name: "nats", Run: s.checkNATS},
		{Name: "data folder", Run: s.folder.state},
		{Name: "snapshot", Run: s.checkSnapshot},
		{Name: "stream", Run: s.checkStream},
		{Name: "reports", Run: s.checkReports},
		{Name: "dead letters", Run: s.checkDeadLetters},
	}
	if s.cfg.Standby {
		checks = append(checks, httpd.Check{Name: "standby", Run: s.checkStandby})
	}
	return checks
}

func (s *service) checkCaughtUp() (bool, string) {
	reader := s.caughtUp.Load()
	switch {
	case reader == nil:
		return false, s.waiting.describe("starting")
	//guard:false "no request reaches a service that is catching up" TestChecksOfAReplay
	case !reader.CaughtUp():
		return false, fmt.Sprintf("replaying, %d messages to go", reader.Lag())
	}
	return true, s.behindText()
}

func (s *service) checkNATS() (bool, string) {
	if !s.links.established() {
		return false, s.waiting.describe("connecting")
	}
	return s.links.state()
}

// checkSnapshot shows the last snapshot. It fails while none can be saved, but the service
// stays ready: a crash would only cost time, as the next start reads the stream from an
// earlier place.
func (s *service) checkSnapshot() (bool, string) {
	if s.links.events.conn.Load() == nil {
		return false, "starting"
	}
	since, failing := s.snapshots.Failing()
	state := describeLast(s.snapshots)
	if failing != nil {
		return false, fmt.Sprintf("failing since %s: %v; the last: %s", since.UTC().Format(time.RFC3339), failing, state)
	}
	return true, state
}

// checkStream shows whether the stream of events exists and stores messages, and how it
// may lose some.
func (s *service) checkStream() (bool, string) {
	m := s.monitor.Load()
	if m == nil {
		return false, "starting"
	}
	holds, state := m.durability.state()
	for _, problem := range []string{m.obstacles.state(), m.notSeen()} {
		if problem != "" {
			holds, state = false, problem+"; "+state
		}
	}
	return holds, state
}

// checkReports shows whether reports can be published.
func (s *service) checkReports() (bool, string) {
	if s.caughtUp.Load() == nil {
		return false, "starting"
	}
	return s.checkOutgoing(natsconn.RoleReports, s.publisher.Failing)
}

// checkDeadLetters shows whether dead letters can be stored.
func (s *service) checkDeadLetters() (bool, string) {
	if s.caughtUp.Load() == nil {
		return false, "starting"
	}
	return s.checkOutgoing(natsconn.RoleDeadLetters, s.letters.Failing)
}

// checkOutgoing shows whether a stream that the service publishes to exists and stores
// messages.
func (s *service) checkOutgoing(role string, failing func() (time.Time, error)) (bool, string) {
	if state := s.monitor.Load().missing.state(role); state != "" {
		return false, state
	}
	if since, err := failing(); err != nil {
		return false, fmt.Sprintf("failing since %s: %v", since.UTC().Format(time.RFC3339), err)
	}
	return true, "stored"
}

// failingChecks returns the failing checks, for the answer to status.
func (s *service) failingChecks() []api.Check {
	var failing []api.Check
	for _, c := range s.checks() {
		if holds, state := c.Run(); !holds {
			failing = append(failing, api.Check{Name: c.Name, State: state})
		}
	}
	return failing
}

func describeLast(s *snapshot.Store) string {
	last, ok := s.Last()
	if !ok {
		return "none yet"
	}
	return fmt.Sprintf("place %d, written %s, state_digest %x",
		last.Status.Position.Place, last.Written.UTC().Format(time.RFC3339), last.StateDigest[:])
}
