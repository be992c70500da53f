package natsconn

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
)

// Connect connects to NATS under the given name, which the server shows. It tries
// once: an unreachable server is an error. An established connection reconnects
// without limit and logs its state changes. The options in more may override these
// settings; their handlers are called after ours. A protocol error, such as a
// subject longer than the server's limit, closes the connection for good and calls
// the ClosedHandler.
func Connect(ctx context.Context, o Options, name string, log *slog.Logger, more ...nats.Option) (*nats.Conn, error) {
	c := newConnLog(log)
	n, err := o.natsOptions(name, more)
	if err != nil {
		return nil, err
	}
	c.watch(&n, o.user)
	o.renewKey(&n)
	n.CustomDialer = dialer{ctx}
	return o.dial(ctx, n)
}

// Await is like Connect, but retries while the server is unreachable or refuses the
// login: the account may not exist yet. Each failure is passed to waiting, if it is not
// nil, and logged; a throttled log drops repeats. When the context ends, Await
// returns an error that wraps the context's. It returns at once any other error that
// matches ErrConfiguration.
func Await(ctx context.Context, o Options, name string, log *slog.Logger, waiting func(error), more ...nats.Option) (*nats.Conn, error) {
	c := newConnLog(log)
	n, err := o.natsOptions(name, more)
	if err != nil {
		return nil, err
	}
	c.watch(&n, o.user)
	o.renewKey(&n)
	n.CustomDialer = dialer{ctx}
	for attempts := 1; ; attempts++ {
		nc, err := o.dial(ctx, n)
		//guard:drop isRetryable(err) "a wrong configuration ends the start" TestServerWithoutTLS
		if err == nil || !isRetryable(err) {
			return nc, err
		}
		if waiting != nil {
			waiting(err)
		}
		if errors.Is(err, ErrConfiguration) {
			c.log(slog.LevelError, "refused", "nats refuses the connection, retrying", "err", err)
		} else {
			c.log(slog.LevelWarn, "await", "nats is unreachable, retrying", "err", err)
		}
		if ended := pause(ctx, n.CustomReconnectDelayCB(attempts)); ended != nil {
			return nil, fmt.Errorf("%w: %w", err, ended)
		}
	}
}

// isRetryable reports whether a failed first connection may succeed later without a
// change of rollcall's configuration: the server was unreachable or refused the
// login. A server whose accounts are not set up yet does not support nkeys. A
// certificate outside its validity period may be renewed, or become valid once the
// clock is right.
func isRetryable(err error) bool {
	//guard:drop isRefusal "a login refused at first is retried" TestRefusedAtFirst
	if !errors.Is(err, ErrConfiguration) || isRefusal(err) || errors.Is(err, nats.ErrNkeysNotSupported) {
		return true
	}
	return isRemote(err) || isExpired(err)
}

// isRemote reports whether the server ended the TLS handshake.
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

// dial connects once. The library's Connect has no context: if ctx ends while it
// runs, dial returns after dialTimeout at the latest.
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

// explain turns the library's error from the first connection into one that names
// the remedy.
func (o Options) explain(err error) error {
	var certificate *tls.CertificateVerificationError
	switch {
	case isRefusal(err):
		return Misconfigured("NATS at %s refuses %w", o, o.refusal(err))
	case errors.As(err, &certificate):
		return Misconfigured("NATS at %s: %w: %s", o, err, o.certificateRemedy(err))
	case isRemote(err):
		return Misconfigured("NATS at %s refuses the TLS connection: %w: check %s and %s", o, err, o.Named(byCert), o.Named("NATS_KEY"))
	case errors.Is(err, nats.ErrSecureConnWanted):
		return Misconfigured("NATS at %s does not speak TLS: use nats:// in %s and unset %s, %s and %s, or enable TLS in the server", o, o.Named("NATS_URL"), o.Named("NATS_CA"), o.Named(byCert), o.Named("NATS_KEY"))
	case errors.Is(err, nats.ErrNkeysNotSupported):
		return Misconfigured("NATS at %s does not support %s: %w: use another of %s", o, o.method(o.login()), err, allLogins)
	case errors.Is(err, nats.ErrNoServers):
		return fmt.Errorf("connecting to NATS at %s: no server is listening there: start it, or correct %s", o, o.Named("NATS_URL"))
	}
	return fmt.Errorf("connecting to NATS at %s: %w: is it a NATS server, and is %s right?", o, err, o.Named("NATS_URL"))
}

// certificateRemedy says what to do about a server certificate that was not accepted.
func (o Options) certificateRemedy(err error) string {
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	switch {
	case isExpired(err) && errors.As(err, &invalid) && invalid.Cert != nil && time.Now().Before(invalid.Cert.NotBefore):
		return "correct the clock of this machine, or wait until the certificate is valid"
	case isExpired(err):
		return "renew the server's certificate and reload the server, or correct the clock of this machine"
	case errors.As(err, &name):
		return fmt.Sprintf("use one of the certificate's names in %[1]s, or renew the certificate with the name in %[1]s", o.Named("NATS_URL"))
	}
	return "set " + o.Named("NATS_CA") + " to the file of the authority that signed the server's certificate"
}

// isExpired reports whether a certificate is outside of its time of validity.
func isExpired(err error) bool {
	var invalid x509.CertificateInvalidError
	return errors.As(err, &invalid) && invalid.Reason == x509.Expired
}

// isRefusal reports whether the server refuses the login.
func isRefusal(err error) bool {
	for _, refusal := range []error{
		nats.ErrAuthorization, nats.ErrAuthExpired, nats.ErrAuthRevoked, nats.ErrAccountAuthExpired,
	} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	// If a login expires while it connects, the library has the server's text only.
	return strings.Contains(strings.ToLower(err.Error()), nats.AUTHENTICATION_EXPIRED_ERR)
}

// Explain returns why a connection does not reconnect and, if the server refuses the
// login, what to check. The text contains no secret.
func (o Options) Explain(err error) string {
	if refused := o.Refused(err); refused != nil {
		return refused.Error()
	}
	return err.Error()
}

// Refused returns the error to report if err, from an established connection, means
// that the server refuses its login; else nil.
func (o Options) Refused(err error) error {
	if !isRefusal(err) {
		return nil
	}
	return fmt.Errorf("NATS at %s refuses %w", o, o.refusal(err))
}

// refusal names the refused login and what to check.
func (o Options) refusal(err error) error {
	switch method := o.login(); method {
	case noLogin:
		return fmt.Errorf("a connection without a login (%w): set one of %s", err, allLogins)
	case byUser:
		return fmt.Errorf("%s with %s (%w): correct them", o.Named(byUser), o.Named("NATS_PASSWORD"), err)
	case byCreds:
		if at, expired := o.credsExpired(); expired {
			return fmt.Errorf("%s %q, which expired at %s (%w): renew it", o.Named(byCreds), o.Creds, at.Format(time.RFC3339), err)
		}
		return fmt.Errorf("%s %q (%w): does it belong to this server's operator and account, and is it not revoked?", o.Named(byCreds), o.Creds, err)
	case byNKey:
		return fmt.Errorf("%s %q (%w): does the server have a user with this key?", o.Named(byNKey), o.NKey, err)
	default:
		return fmt.Errorf("%s (%w): correct it", o.method(method), err)
	}
}

func (o Options) credsExpired() (time.Time, bool) {
	return o.claims().expired(time.Now())
}

// claims returns what the JWT in NATS_CREDS says; nothing if there is none.
func (o Options) claims() (c claims) {
	var n nats.Options
	if o.applyCreds(&n) != nil {
		return c
	}
	if token, err := n.UserJWT(); err == nil {
		c, _ = decodeClaims(token) //nolint:errcheck // then there is none
	}
	return c
}

// user returns as whom the options log in; "" if only the server knows.
func (o Options) user() string {
	switch o.login() {
	case byUser:
		return o.User
	case byCreds:
		c := o.claims()
		return cmp.Or(c.Name, c.Subject)
	case byNKey:
		var n nats.Options
		_ = o.applyNKey(&n)
		return n.Nkey
	case byURL:
		for _, server := range o.servers() {
			u, err := parseServer(server)
			if err != nil || u.User == nil {
				continue
			}
			//guard:true "no token is logged" TestUser
			if _, set := u.User.Password(); set { // alone it is a token
				return u.User.Username()
			}
		}
	}
	return ""
}
