package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
)

// errNoJetStream is matched by the errors of a server or an account without
// JetStream. It never stands in an error's text.
var errNoJetStream = errors.New("no JetStream")

type noJetStreamError struct{ error }

func (e noJetStreamError) Unwrap() error        { return e.error }
func (e noJetStreamError) Is(target error) bool { return target == errNoJetStream }

func noJetStream(format string, args ...any) error {
	return noJetStreamError{Misconfigured(format, args...)}
}

// AwaitStreams is Prepare, but keeps trying, for as long as the context lasts,
// while there is no JetStream or it is not ready. Each failure is passed to
// waiting, if that is not nil, and some are logged.
func AwaitStreams(ctx context.Context, js jetstream.JetStream, s Streams, log *slog.Logger, waiting func(error)) (*jetstream.StreamInfo, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	tellOld(js.Conn().ConnectedServerVersion(), log)
	c := newComplaints(log)
	for {
		info, err := s.prepare(ctx, js, log)
		//guard:drop errNoJetStream "JetStream may start after us" TestJetStreamLater
		if err == nil || !isTemporary(err) && !errors.Is(err, errNoJetStream) {
			return info, err
		}
		if waiting != nil {
			waiting(err)
		}
		c.say(slog.LevelError, "jetstream", "no JetStream yet, trying again", "err", err)
		if ended := pause(ctx, reconnectWait); ended != nil {
			return nil, fmt.Errorf("%w: %w", err, ended)
		}
	}
}
