package natsconn

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/nats-io/nats.go/jetstream"
)

// errNoJetStream matches, by [errors.Is], the errors of a server or an account
// without JetStream. Its text is never part of an error message.
var errNoJetStream = errors.New("no JetStream")

type noJetStreamError struct{ error }

func (e noJetStreamError) Unwrap() error        { return e.error }
func (e noJetStreamError) Is(target error) bool { return target == errNoJetStream }

func noJetStream(format string, args ...any) error {
	return noJetStreamError{Misconfigured(format, args...)}
}

// AwaitStreams is like Prepare, but while JetStream is missing or not ready it
// retries until the context ends. Each failure is passed to waiting, if it is not nil, and
// logged; a throttled log drops repeats.
func AwaitStreams(ctx context.Context, js jetstream.JetStream, s Streams, log *slog.Logger, waiting func(error)) (*jetstream.StreamInfo, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	warnOldServer(js.Conn().ConnectedServerVersion(), log)
	c := newConnLog(log)
	for {
		info, err := s.prepare(ctx, js, log)
		//guard:drop errNoJetStream "JetStream may start after rollcall" TestJetStreamLater
		if err == nil || !isTemporary(err) && !errors.Is(err, errNoJetStream) {
			return info, err
		}
		if waiting != nil {
			waiting(err)
		}
		c.log(slog.LevelError, "jetstream", "JetStream is not available yet, retrying", "err", err)
		if ended := pause(ctx, reconnectWait); ended != nil {
			return nil, fmt.Errorf("%w: %w", err, ended)
		}
	}
}
