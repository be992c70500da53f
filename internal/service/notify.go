package service

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// notifier tells systemd how the service is, in the protocol of sd_notify(3):
// that it serves, how far it has come, that its fold is alive, that it ends.
// Without NOTIFY_SOCKET it does nothing.
type notifier struct {
	log     *slog.Logger
	service atomic.Pointer[service] // that of the moment
	ready   sync.Once
	status  string // the last one told
}

const (
	// statusEvery is how often it is looked whether the status has changed.
	statusEvery = time.Second
	// readyAtLatest is how long the start of the unit, and what waits for it
	// at boot, is held up by a NATS server that is away. What is wrong with the
	// configuration shows earlier, and fails the start.
	readyAtLatest = 5 * time.Second
)

// run tells all of it until ended is done. The service is to end when ctx is
// done, which takes a while.
func (n *notifier) run(ctx, ended context.Context) {
	if os.Getenv("NOTIFY_SOCKET") == "" {
		return
	}
	n.tell("STATUS=starting")
	status, latest := time.NewTicker(statusEvery), time.NewTimer(readyAtLatest)
	defer status.Stop()
	defer latest.Stop()
	every, ping := n.watchdog()
	stop := ctx.Done()
	for {
		select {
		case <-ended.Done():
			return
		case <-stop:
			stop = nil
			n.tell("STOPPING=1\nSTATUS=ending, with a last snapshot")
			status.Stop()
			latest.Stop()
		case <-latest.C:
			n.serving()
		case <-status.C:
			n.tellStatus()
		case <-ping:
			if s := n.service.Load(); s == nil || s.watchdog.alive(every) {
				n.tell("WATCHDOG=1")
			}
		}
	}
}

// serving says, once, that the service serves. It has not caught up then: a long
// replay would else be taken for a start that hangs.
func (n *notifier) serving() { n.ready.Do(func() { n.tell("READY=1") }) }

func (n *notifier) tellStatus() {
	s := n.service.Load()
	if s == nil {
		return
	}
	if status := s.summary(); status != n.status {
		n.status = status
		n.tell("STATUS=" + status)
	}
}

// watchdog returns how often systemd wants to hear that the fold is alive, and
// the times to say so; never, where it wants nothing.
func (n *notifier) watchdog() (time.Duration, <-chan time.Time) {
	every, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		n.log.Warn("no watchdog of systemd", "err", err)
	}
	if err != nil || every < 2 {
		return 0, nil
	}
	return every, time.Tick(every / 2)
}

// tellWithin is how long one message may take: a manager that does not read
// must not hold up the service.
const tellWithin = time.Second

func (n *notifier) tell(state string) {
	path := os.Getenv("NOTIFY_SOCKET")
	if path == "" {
		return
	}
	if err := send(path, state); err != nil {
		n.log.Debug("telling systemd does not work", "err", err)
	}
}

func send(path, state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetWriteDeadline(time.Now().Add(tellWithin)); err != nil {
		return err
	}
	_, err = conn.Write([]byte(state))
	return err
}

// summary says in a line how far the service has come.
func (s *service) summary() string {
	reader := s.caughtUp.Load()
	switch {
	case s.links.events.conn.Load() == nil:
		return s.waiting.while("connecting to NATS")
	case reader == nil || reader.Target() == 0 && !reader.CaughtUp():
		return s.waiting.while("looking at the stream")
	}
	at := s.roster.Status().Position
	status := fmt.Sprintf("at place %d, ", at.Place) + s.behindText()
	if !reader.CaughtUp() {
		status = fmt.Sprintf("replaying: message %d of %d", at.Sequence(), reader.Target())
	}
	if !s.links.events.connected() {
		status += "; NATS is away"
	}
	return status
}
