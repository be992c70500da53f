package service

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"rollcall/internal/sdnotify"
)

// notifier notifies systemd of the service's state, by the protocol of sd_notify(3): ready,
// status, watchdog pings, stopping. Without NOTIFY_SOCKET it does nothing.
type notifier struct {
	log     *slog.Logger
	service atomic.Pointer[service] // the one that runs now
	ready   sync.Once
	status  string // the last one sent
}

const (
	// statusEvery is how often the status is sent, if it has changed.
	statusEvery = time.Second
	// readyTimeout is how long a NATS server that is down delays the start of the unit,
	// and of the units that wait for it at boot. A wrong configuration fails the start
	// earlier.
	readyTimeout = 5 * time.Second
)

const stopping = "STOPPING=1\nSTATUS=stopping, writing a last snapshot"

// run sends notifications until ended is done. The service begins to stop when ctx is
// done, which takes a while.
func (n *notifier) run(ctx, ended context.Context) {
	if !sdnotify.Enabled() {
		return
	}
	n.notify("STATUS=starting")
	status, deadline := time.NewTicker(statusEvery), time.NewTimer(readyTimeout)
	defer status.Stop()
	defer deadline.Stop()
	every, ping := n.watchdog()
	stop := ctx.Done()
	for {
		select {
		case <-ended.Done():
			// If the service stops at once, both contexts may be done before either is
			// received.
			if stop != nil && ctx.Err() != nil {
				n.notify(stopping)
			}
			return
		case <-stop:
			stop = nil
			n.notify(stopping)
			status.Stop()
			deadline.Stop()
		case <-deadline.C:
			n.notifyReady()
		case <-status.C:
			n.notifyStatus()
		case <-ping:
			if s := n.service.Load(); s == nil || s.watchdog.alive(every) {
				n.notify("WATCHDOG=1")
			}
		}
	}
}

// notifyReady sends READY=1, once. The service need not have caught up by then: to systemd a
// long replay would look like a start that hangs.
func (n *notifier) notifyReady() { n.ready.Do(func() { n.notify("READY=1") }) }

func (n *notifier) notifyStatus() {
	s := n.service.Load()
	if s == nil {
		return
	}
	if status := s.summary(); status != n.status {
		n.status = status
		n.notify("STATUS=" + status)
	}
}

// watchdog returns the time-out of systemd's watchdog and when to ping it; no channel if
// there is no watchdog.
func (n *notifier) watchdog() (time.Duration, <-chan time.Time) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("systemd watchdog not available", "err", err)
	}
	if err != nil || every < 2 {
		return 0, nil
	}
	return every, time.Tick(every / 2)
}

func (n *notifier) notify(state string) {
	if err := sdnotify.Send(state); err != nil {
		n.log.Debug("notifying systemd failed", "err", err)
	}
}

// summary describes the progress of the service in one line, for systemd.
func (s *service) summary() string {
	reader := s.caughtUp.Load()
	switch {
	case s.links.events.conn.Load() == nil:
		return s.waiting.describe("connecting to NATS")
	case reader == nil || reader.Target() == 0 && !reader.CaughtUp():
		return s.waiting.describe("checking the stream")
	}
	at := s.roster.Status().Position
	status := fmt.Sprintf("at place %d, ", at.Place) + s.behindText()
	if !reader.CaughtUp() {
		status = fmt.Sprintf("replaying: message %d of %d", at.Sequence(), reader.Target())
	}
	if s.standby != nil {
		status += "; " + s.standby.describe(s.standby.Holder())
	}
	if !s.links.events.connected() {
		status += "; not connected to NATS"
	}
	return status
}
