// Package natsconn connects to NATS, and makes and checks the three JetStream streams
// that rollcall needs.
//
// Its errors name the variable, the server or the stream, say what is wrong and
// what to do next, and hold no secret and no address with a password in it.
// Those that only another configuration can cure match [ErrConfiguration]: a
// refused password, contradicting options, no JetStream, a stream that cannot
// serve. All others say that something failed: a server that is not reachable,
// a port in use, a folder that cannot be written to.
package natsconn

import (
	"errors"
	"fmt"
)

// ErrConfiguration matches, by [errors.Is], the errors that come back for ever
// until somebody changes the configuration of rollcall or of NATS. It never
// stands in an error's text.
var ErrConfiguration = errors.New("wrong configuration")

type configurationError struct{ error }

func (e configurationError) Unwrap() error        { return e.error }
func (e configurationError) Is(target error) bool { return target == ErrConfiguration }

// Misconfigured is fmt.Errorf for an error that matches ErrConfiguration.
func Misconfigured(format string, args ...any) error {
	return configurationError{fmt.Errorf(format, args...)}
}
