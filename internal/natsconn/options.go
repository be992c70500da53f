package natsconn

import (
	"cmp"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// Options say which server to connect to, and as whom. Errors name them by the
// variables that set them. At most one of Creds, NKey, Token and User (or user and
// password in the URL) may be set. Files are read at once and again at every
// reconnect.
type Options struct {
	URL         string // NATS_URL: nats://HOST:PORT, tls:// too; several with commas between
	Creds       string // NATS_CREDS: a file with a user's JWT and seed
	User        string // NATS_USER
	Password    string // NATS_PASSWORD
	Token       string // NATS_TOKEN
	NKey        string // NATS_NKEY: a file with a user's seed
	CA          string // NATS_CA: a PEM file of the authorities that sign the server's certificate
	Cert        string // NATS_CERT: a PEM file, the client's certificate
	Key         string // NATS_KEY: a PEM file, the certificate's private key
	InboxPrefix string // NATS_INBOX_PREFIX: replaces _INBOX; {{subject()}} in it is the user's public key

	// Names has what set a value instead of its variable: "NATS_CREDS": "--creds".
	Names map[string]string
}

// Named returns what sets the value of a variable, for messages.
func (o Options) Named(variable string) string { return cmp.Or(o.Names[variable], variable) }

// String returns the address alone, without secrets.
func (o Options) String() string { return Redact(o.URL) }

// LogValue makes logs show String.
func (o Options) LogValue() slog.Value { return slog.StringValue(o.String()) }

// Redact returns the addresses without user, password and token. A malformed
// address is replaced as a whole: there is no telling where its password ends.
func Redact(urls string) string {
	list := strings.Split(urls, ",")
	for i, server := range list {
		if len(list) > 1 && strings.Contains(urls, "@") && !strings.Contains(server, "://") {
			return "(no address)" // the comma may be in a password
		}
		if u, err := parseServer(strings.TrimSpace(server)); err != nil {
			list[i] = "(no address)"
		} else {
			//guard:set `u.Scheme + "://" + u.Host` u.String() "no password is logged" TestRedact
			list[i] = u.Scheme + "://" + u.Host
		}
	}
	return strings.Join(list, ",")
}

// parseServer reads HOST, HOST:PORT or a URL. Its errors quote the password.
func parseServer(server string) (*url.URL, error) {
	if !strings.Contains(server, "://") {
		server = "nats://" + server
	}
	u, err := url.Parse(server)
	if err == nil && u.Hostname() == "" {
		err = errors.New("no host")
	}
	return u, err
}

// The login methods, as errors name them.
const (
	byCreds    = "NATS_CREDS"
	byNKey     = "NATS_NKEY"
	byToken    = "NATS_TOKEN"
	byUser     = "NATS_USER"
	byURL      = "the user in the URL"
	byCert     = "NATS_CERT"
	noLogin    = ""
	allLogins  = "NATS_CREDS, NATS_NKEY, NATS_TOKEN, or NATS_USER and NATS_PASSWORD"
	wantedURL  = "use nats://HOST:PORT or tls://HOST:PORT"
	urlEscapes = "write special characters of a user or password as %XX, or set NATS_USER and NATS_PASSWORD"
)

// logins returns the login methods that are set.
func (o Options) logins() []string {
	var set []string
	for _, method := range []struct{ name, value string }{
		{byCreds, o.Creds},
		{byNKey, o.NKey},
		{byToken, o.Token},
		{byUser, o.User},
	} {
		if method.value != "" {
			set = append(set, method.name)
		}
	}
	if slices.ContainsFunc(o.servers(), hasUser) {
		set = append(set, byURL)
	}
	return set
}

// method names a login method.
func (o Options) method(login string) string {
	if login == byURL {
		return "the user in " + o.Named("NATS_URL")
	}
	return o.Named(login)
}

// Anonymous reports whether no login method is set.
func (o Options) Anonymous() bool { return o.login() == noLogin }

func hasUser(server string) bool { return strings.ContainsRune(server, '@') }

// login returns the login method in use.
func (o Options) login() string {
	if set := o.logins(); len(set) > 0 {
		return set[0]
	}
	if o.Cert != "" {
		return byCert
	}
	return noLogin
}

func (o Options) servers() []string {
	list := strings.Split(o.URL, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	return list
}

// check rejects contradictory options and invalid addresses.
func (o Options) check() error {
	if err := o.checkServers(); err != nil {
		return err
	}
	if set := o.logins(); len(set) > 1 {
		for i, method := range set {
			set[i] = o.method(method)
		}
		return Misconfigured("%s are set: keep only one of them", strings.Join(set, " and "))
	}
	for _, pair := range []struct {
		have, need string
		bad        bool
	}{
		{"NATS_PASSWORD", byUser, o.Password != "" && o.User == ""},
		{byCert, "NATS_KEY", o.Cert != "" && o.Key == ""},
		{"NATS_KEY", byCert, o.Key != "" && o.Cert == ""},
	} {
		if pair.bad {
			return Misconfigured("%s is set without %s: set both", o.Named(pair.have), pair.need)
		}
	}
	return nil
}

// checkServers rejects addresses that the library could not use. If there is an @
// in any of them, the bad address is not quoted: it may be part of a password with a
// comma in it.
func (o Options) checkServers() error {
	for _, server := range o.servers() {
		u, err := parseServer(server)
		switch {
		//guard:false "no error quotes a password" TestWrongOptions
		case err != nil && hasUser(o.URL):
			return Misconfigured("%s is not an address: %s, and %s", o.Named("NATS_URL"), wantedURL, urlEscapes)
		case err != nil:
			return Misconfigured("%s %q is not an address: %s", o.Named("NATS_URL"), server, wantedURL)
		case !slices.Contains([]string{"nats", "tls", "ws", "wss"}, u.Scheme):
			return Misconfigured("%s %q has scheme %q: %s", o.Named("NATS_URL"), Redact(server), u.Scheme, wantedURL)
		}
	}
	return nil
}

// A peer that died silently is noticed within pingInterval * (pingsAwaited + 1), 24
// s. A write to a peer that no longer reads fails after flushTimeout. (The
// library's defaults are minutes.)
const (
	dialTimeout   = 5 * time.Second
	flushTimeout  = 5 * time.Second
	pingInterval  = 8 * time.Second
	pingsAwaited  = 2
	reconnectWait = time.Second
	jitter        = time.Second
)

// natsOptions checks the options and the files they name, and converts them to the
// library's. They reconnect for ever, even after a refused login: a server that is
// being reconfigured may refuse logins for a moment.
func (o Options) natsOptions(name string, more []nats.Option) (nats.Options, error) {
	if err := o.check(); err != nil {
		return nats.Options{}, err
	}
	n := nats.GetDefaultOptions()
	n.Servers = o.servers()
	n.Name = name
	n.Timeout = dialTimeout
	n.FlusherTimeout = flushTimeout
	n.PingInterval, n.MaxPingsOut = pingInterval, pingsAwaited
	//guard:false "a login refused later doesn't end the service" TestRefusedLater
	//guard:set -1 5 "no outage is too long" TestReconnect
	n.MaxReconnect, n.IgnoreAuthErrorAbort = -1, true
	n.ReconnectWait = reconnectWait
	n.ReconnectJitter, n.ReconnectJitterTLS = jitter, jitter
	n.User, n.Password, n.Token = o.User, o.Password, o.Token
	for _, s := range []struct {
		variable, value string
		apply           func(*nats.Options) error
	}{
		{o.Named(byCreds), o.Creds, o.applyCreds},
		{o.Named(byNKey), o.NKey, o.applyNKey},
		{o.Named("NATS_CA"), o.CA, nats.RootCAs(o.CA)},
		{o.Named(byCert) + " and " + o.Named("NATS_KEY"), o.Cert, nats.ClientCert(o.Cert, o.Key)},
		{o.Named("NATS_INBOX_PREFIX"), o.InboxPrefix, o.applyInbox},
	} {
		if s.value == "" {
			continue
		}
		if err := s.apply(&n); err != nil {
			if isSeed(s.value) {
				return nats.Options{}, Misconfigured("%s is a seed: use the path of a file that contains it", s.variable)
			}
			return nats.Options{}, Misconfigured("%s %q: %w", s.variable, s.value, err)
		}
	}
	for _, option := range more {
		if err := option(&n); err != nil {
			return nats.Options{}, err
		}
	}
	return n, nil
}

// applyCreds reads and checks the file at once, and lets the library read it at each login.
// The library's own UserCredentials takes $ and ~ in the path for a variable and a folder.
func (o Options) applyCreds(n *nats.Options) error {
	token := func() (string, error) {
		text, err := os.ReadFile(o.Creds)
		if err != nil {
			return "", err
		}
		return nkeys.ParseDecoratedJWT(text)
	}
	if err := nats.UserJWT(token, o.sign)(n); err != nil {
		return err
	}
	return o.checkCreds(n)
}

// sign signs the server's challenge with the seed in NATS_CREDS.
func (o Options) sign(nonce []byte) ([]byte, error) {
	text, err := os.ReadFile(o.Creds)
	if err != nil {
		return nil, err
	}
	pair, err := nkeys.ParseDecoratedNKey(text)
	if err != nil {
		return nil, err
	}
	defer pair.Wipe()
	return pair.Sign(nonce)
}

func (o Options) checkCreds(n *nats.Options) error {
	token, err := n.UserJWT()
	if err != nil {
		return err
	}
	if _, err := decodeClaims(token); err != nil {
		return err
	}
	_, err = n.SignatureCB([]byte("nonce"))
	return err
}

// isSeed reports whether a value looks like an nkey seed: "S" and 57 characters of
// base32. It is easily set by mistake instead of the path of its file, and must not
// be shown.
func isSeed(value string) bool {
	const base32 = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	return len(value) == 58 && value[0] == 'S' && strings.Trim(value, base32) == ""
}

func (o Options) applyNKey(n *nats.Options) error {
	option, err := nats.NkeyOptionFromSeed(o.NKey)
	if err != nil {
		return err
	}
	return option(n)
}

// ownKey is what the templates of NATS call the user's public key.
const ownKey = "{{subject()}}"

// applyInbox sets the prefix of the subjects on which answers are received.
func (o Options) applyInbox(n *nats.Options) error {
	prefix := o.InboxPrefix
	if strings.Contains(prefix, ownKey) {
		key := o.claims().Subject
		if o.NKey != "" {
			key = o.user()
		}
		if key == "" {
			return errors.New("{{subject()}} is the public key of the user: set NATS_CREDS or NATS_NKEY")
		}
		prefix = strings.ReplaceAll(prefix, ownKey, key)
	}
	return nats.CustomInboxPrefix(prefix)(n)
}

var errNoJWT = errors.New("no user JWT in the file: use a credentials file, as made by rollcall enroll")
