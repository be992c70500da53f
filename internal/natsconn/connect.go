package natsconn

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect connects to NATS, under a name that the server shows. It tries once:
// a server that is not there is an error. Once it is connected, the connection
// comes back by itself for as long as it takes, and what happens to it is
// logged. Options given as more may change what these settings are; handlers
// among them are called after ours. A connection that a protocol error closes
// for good (a subject beyond the server's limit) ends in the ClosedHandler.
func Connect(ctx context.Context, o Options, name string, log *slog.Logger, more ...nats.Option) (*nats.Conn, error) {
	c := newComplaints(log)
	n, err := o.natsOptions(name, more)
	if err != nil {
		return nil, err
	}
	c.watch(&n)
	o.renewKey(&n)
	n.CustomDialer = dialer{ctx}
	return o.dial(ctx, n)
}

// Await is Connect, but keeps trying while the server is not there or does not
// let us in: its accounts may not be there yet. Each failure is passed to
// waiting, if that is not nil, and some are logged. It ends without a
// connection, with the context's error, when the context does, and at once with
// any other error that matches ErrConfiguration.
func Await(ctx context.Context, o Options, name string, log *slog.Logger, waiting func(error), more ...nats.Option) (*nats.Conn, error) {
	c := newComplaints(log)
	n, err := o.natsOptions(name, more)
	if err != nil {
		return nil, err
	}
	c.watch(&n)
	o.renewKey(&n)
	n.CustomDialer = dialer{ctx}
	for {
		nc, err := o.dial(ctx, n)
		//guard:drop mayPass(err) "a wrong configuration ends the start" TestServerWithoutTLS
		if err == nil || !mayPass(err) {
			return nc, err
		}
		if waiting != nil {
			waiting(err)
		}
		if errors.Is(err, ErrConfiguration) {
			c.say(slog.LevelError, "refused", "nats does not let us in, trying again", "err", err)
		} else {
			c.say(slog.LevelWarn, "await", "nats is not there yet, trying again", "err", err)
		}
		if ended := pause(ctx, n.ReconnectWait+rand.N(n.ReconnectJitter+1)); ended != nil {
			return nil, fmt.Errorf("%w: %w", err, ended)
		}
	}
}

// mayPass reports whether a first connection that failed may succeed without a
// change on our side: nobody was there, or the server refused us. A server
// without accounts knows no nkeys, and a certificate that is out of date is
// renewed, or is right once the clock is.
func mayPass(err error) bool {
	//guard:drop isRefusal "a login refused at first is tried again" TestRefusedAtFirst
	if !errors.Is(err, ErrConfiguration) || isRefusal(err) || errors.Is(err, nats.ErrNkeysNotSupported) {
		return true
	}
	var dated x509.CertificateInvalidError
	return isRemote(err) || errors.As(err, &dated) && dated.Reason == x509.Expired
}

// isRemote reports whether it was the server that ended the handshake of TLS.
func isRemote(err error) bool {
	var remote *net.OpError
	return errors.As(err, &remote) && remote.Op == "remote error"
}

func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// dial connects once. The library knows no contexts: one that ends meanwhile is
// seen after dialTimeout at the latest.
func (o Options) dial(ctx context.Context, n nats.Options) (*nats.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("connecting to NATS at %s: %w", o, err)
	}
	nc, err := n.Connect()
	if err != nil {
		return nil, o.explain(err)
	}
	return nc, nil
}

// explain makes of the library's error at the first connection one that says
// what to do.
func (o Options) explain(err error) error {
	var certificate *tls.CertificateVerificationError
	switch {
	case isRefusal(err):
		return Misconfigured("NATS at %s refuses %w", o, o.refusal(err))
	case errors.As(err, &certificate):
		return Misconfigured("NATS at %s: %w: set NATS_CA to the file of the authority that signed the server's certificate", o, err)
	case isRemote(err):
		return Misconfigured("NATS at %s refuses the TLS connection: %w: check NATS_CERT and NATS_KEY", o, err)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return Misconfigured("NATS at %s does not speak TLS: use nats:// in NATS_URL and no NATS_CA, NATS_CERT, NATS_KEY, or turn TLS on in the server", o)
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return Misconfigured("NATS at %s does not take %s: %w: want another of %s", o, o.login(), err, allLogins)
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("connecting to NATS at %s: nobody listens there: start the server, or correct NATS_URL", o)
	}
	return fmt.Errorf("connecting to NATS at %s: %w: is it a NATS server, and NATS_URL right?", o, err)
}

func isRefusal(err error) bool {
	for _, refusal := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// Explain says in words why a connection does not come back: of a server that
// refuses the login, what to check. It tells no secret.
func (o Options) Explain(err error) string {
	if refused := o.Refused(err); refused != nil {
		return refused.Error()
	}
	return err.Error()
}

// Refused returns what to tell of an error of a connection that is there, if it
// is that the server refuses its login; else nil.
func (o Options) Refused(err error) error {
	if !isRefusal(err) {
		return nil
	}
	return fmt.Errorf("NATS at %s refuses %w", o, o.refusal(err))
}

// refusal says whom the server refuses.
func (o Options) refusal(err error) error {
	switch way := o.login(); way {
	case byNobody:
		return fmt.Errorf("a connection without a login (%w): set one of %s", err, allLogins)
	case byUser:
		return fmt.Errorf("NATS_USER with NATS_PASSWORD (%w): correct them", err)
	case byCreds:
		if at, expired := o.credsExpired(); expired {
			return fmt.Errorf("NATS_CREDS %q, which expired at %s (%w): have it renewed", o.Creds, at.Format(time.RFC3339), err)
		}
		return fmt.Errorf("NATS_CREDS %q (%w): is it of this server's operator and account, and not revoked?", o.Creds, err)
	case byNKey:
		return fmt.Errorf("NATS_NKEY %q (%w): is it the key of a user of this server?", o.NKey, err)
	default:
		return fmt.Errorf("%s (%w): correct it", way, err)
	}
}

func (o Options) credsExpired() (time.Time, bool) {
	var n nats.Options
	if o.applyCreds(&n) != nil {
		return time.Time{}, false
	}
	token, err := n.UserJWT()
	if err != nil {
		return time.Time{}, false
	}
	c, err := decodeClaims(token)
	if err != nil {
		return time.Time{}, false
	}
	return c.expired(time.Now())
}
