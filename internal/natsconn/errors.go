// Package natsconn connects to NATS, and creates and checks the three JetStream streams
// that rollcall needs.
//
// Its errors name the variable, server or stream, the cause and the remedy, and
// contain no password or other secret. Those that only a change of configuration can
// fix match [ErrConfiguration]: a refused password, contradictory options, no
// JetStream, an unusable stream. All others are failures, such as an unreachable
// server, a port in use or a folder that is not writable.
package natsconn

import (
	"errors"
	"fmt"
)

// ErrConfiguration matches, by [errors.Is], errors that recur until somebody
// changes the configuration of rollcall or of NATS. Its text is never part of an
// error message.
var ErrConfiguration = errors.New("wrong configuration")

type configurationError struct{ error }

func (e configurationError) Unwrap() error        { return e.error }
func (e configurationError) Is(target error) bool { return target == ErrConfiguration }

// Misconfigured is fmt.Errorf for an error that matches ErrConfiguration.
func Misconfigured(format string, args ...any) error {
	return configurationError{fmt.Errorf(format, args...)}
}
