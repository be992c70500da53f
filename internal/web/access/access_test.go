package access

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/crypto/bcrypt"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// whoami answers with the user and the key of a request.
func whoami(w http.ResponseWriter, r *http.Request) {
	_, _ = io.WriteString(w, User(r)+"|"+Key(r))
}

// serve serves until the test ends, and returns the address. Without an address it is
// loopback, without a handler whoami.
func serve(t testing.TB, c Config) *Listener {
	t.Helper()
	if c.Addr == "" {
		c.Addr = "127.0.0.1:0"
	}
	if c.Handler == nil {
		c.Handler = http.HandlerFunc(whoami)
	}
	if c.Log == nil {
		c.Log = kit.Logger(t)
	}
	l, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(t, l.Serve)
	return l
}

// request is one request of a test, over a connection of its own.
type request struct {
	method string // GET if it is empty
	path   string // / if it is empty
	host   string
	header http.Header
	body   string
	// With a password, the user logs in.
	user, password string
}

// send sends a request to a listener and returns the answer and its body.
func send(t testing.TB, c *http.Client, l *Listener, q request) (*http.Response, string) {
	t.Helper()
	answer, body, err := trySend(t, c, l, q)
	if err != nil {
		t.Fatal(err)
	}
	return answer, body
}

func trySend(t testing.TB, c *http.Client, l *Listener, q request) (*http.Response, string, error) {
	t.Helper()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	scheme, _, _ := strings.Cut(l.URL(), ":")
	var sent io.Reader
	if q.body != "" {
		sent = strings.NewReader(q.body)
	}
	r, err := http.NewRequestWithContext(t.Context(), q.method, scheme+"://127.0.0.1:"+port+q.path, sent)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = q.host
	if q.header != nil {
		r.Header = q.header.Clone()
	}
	if q.password != "" {
		r.SetBasicAuth(q.user, q.password)
	}
	answer, err := c.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer, string(body), err
}

// plain is a client that makes a connection for each request, and follows no redirect.
var plain = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	Timeout:       30 * time.Second,
}

// overTLS is such a client that trusts an authority, and speaks HTTP/2 if it may.
func overTLS(a *kit.Authority, http2 bool, own ...tls.Certificate) *http.Client {
	return &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: http2, TLSClientConfig: &tls.Config{RootCAs: a.Pool, Certificates: own},
	}}
}

const (
	withTLS   = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
	withUsers = "basic_auth_users:\n  ada: "
)

// mutual is a file that requires client certificates of an authority.
func mutual(a *kit.Authority) string {
	return withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: " + a.File + "\n"
}

// users is the part of a file with the user ada.
func users(t testing.TB, password string) string {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return withUsers + string(hash) + "\n"
}

// configure writes a web configuration file.
func configure(t testing.TB, dir, content string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "web.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestRefusesToListen: without users, required client certificates or a proxy, the page is
// for this machine only. The error names the three.
func TestRefusesToListen(t *testing.T) {
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	file := func(content string) string {
		content = strings.NewReplacer(": cert.pem", ": "+dir+"/cert.pem", ": key.pem", ": "+dir+"/key.pem").Replace(content)
		return configure(t, t.TempDir(), content)
	}
	tunnel := []string{"rollcall.example.com"}
	proxies := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	optional := withTLS + "  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: " + a.File + "\n"
	for name, tt := range map[string]struct {
		config Config
		names  string // the variable in the error; "" if it listens
		open   bool
	}{
		"loopback":              {Config{Addr: "127.0.0.1:0"}, "", true},
		"loopback, IPv6":        {Config{Addr: "[::1]:0"}, "", true},
		"localhost":             {Config{Addr: "localhost:0"}, "", true},
		"loopback's names":      {Config{Addr: "127.0.0.1:0", Hosts: []string{"localhost", "127.0.0.2", "::1"}}, "", true},
		"users":                 {Config{Addr: "127.0.0.1:0", ConfigFile: file(users(t, "x"))}, "", false},
		"all":                   {Config{Addr: ":0"}, "ROLLCALL_PAGE_ADDR", false},
		"all, IPv4":             {Config{Addr: "0.0.0.0:0"}, "ROLLCALL_PAGE_ADDR", false},
		"all, IPv6":             {Config{Addr: "[::]:0"}, "ROLLCALL_PAGE_ADDR", false},
		"a tunnel":              {Config{Addr: "127.0.0.1:0", Hosts: tunnel}, "ROLLCALL_PAGE_HOSTS", false},
		"an address":            {Config{Addr: "127.0.0.1:0", Hosts: []string{"localhost", "10.0.0.5"}}, "ROLLCALL_PAGE_HOSTS", false},
		"TLS only":              {Config{Addr: ":0", ConfigFile: file(withTLS)}, "ROLLCALL_PAGE_ADDR", false},
		"optional certificates": {Config{Addr: ":0", ConfigFile: file(optional)}, "ROLLCALL_PAGE_ADDR", false},
		"any certificate":       {Config{Addr: ":0", ConfigFile: file(withTLS + "  client_auth_type: RequireAnyClientCert\n")}, "ROLLCALL_PAGE_ADDR", false},
		"an empty file":         {Config{Addr: ":0", ConfigFile: file("")}, "ROLLCALL_PAGE_ADDR", false},
		"all, users":            {Config{Addr: ":0", ConfigFile: file(users(t, "x"))}, "", false},
		"all, certificates":     {Config{Addr: ":0", ConfigFile: file(mutual(a))}, "", false},
		"all, a proxy":          {Config{Addr: ":0", TrustedProxies: proxies, UserHeader: "X-User"}, "", false},
		"a tunnel, a proxy":     {Config{Addr: "127.0.0.1:0", Hosts: tunnel, TrustedProxies: proxies, UserHeader: "X-User"}, "", false},
		"a wrong file":          {Config{Addr: "127.0.0.1:0", ConfigFile: file("basic_auth_users: {ada: hunter2}")}, "ROLLCALL_PAGE_CONFIG_FILE", false},
	} {
		tt.config.Log, tt.config.Handler = kit.Logger(t), http.NotFoundHandler()
		l, err := Listen(tt.config)
		var problems config.Problems
		switch {
		case tt.names == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case tt.names == "":
			if l.Open != tt.open {
				t.Errorf("%s: open %v", name, l.Open)
			}
			l.Close()
		case !errors.As(err, &problems) || !strings.HasPrefix(err.Error(), tt.names+": "):
			t.Errorf("%s: %v, want a problem with %s", name, err, tt.names)
		case tt.names != "ROLLCALL_PAGE_CONFIG_FILE":
			for _, way := range []string{"users", "RequireAndVerifyClientCert", "ROLLCALL_PAGE_TRUSTED_PROXIES", "ROLLCALL_PAGE_USER_HEADER", "loopback"} {
				if !strings.Contains(err.Error(), way) {
					t.Errorf("%s: %v does not name %s", name, err, way)
				}
			}
		case strings.Contains(err.Error(), "hunter2"):
			t.Errorf("%s: the error has a password", name)
		}
	}
}

// TestAddressTaken: the error says so, and how to go on.
func TestAddressTaken(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = Listen(Config{Addr: taken.Addr().String(), Handler: http.NotFoundHandler(), Log: kit.Logger(t)})
	if !errors.Is(err, httpd.ErrInUse) || !strings.Contains(err.Error(), "set ROLLCALL_PAGE_ADDR to off, or to another") {
		t.Errorf("got %v", err)
	}
}

// TestUsersRemoved: a page with a login does not open when its file loses the users while it
// runs, or the demand for certificates.
func TestUsersRemoved(t *testing.T) {
	for _, addr := range []string{"0.0.0.0:0", "127.0.0.1:0"} {
		t.Run(addr, func(t *testing.T) { removeUsers(t, addr) })
	}
}

func removeUsers(t *testing.T, addr string) {
	dir := t.TempDir()
	file := configure(t, dir, users(t, "right"))
	l := serve(t, Config{Addr: addr, ConfigFile: file})
	expect := func(want int, q request) {
		t.Helper()
		if answer, body := send(t, plain, l, q); answer.StatusCode != want {
			t.Errorf("%+v: %s: %s, want %d", q, answer.Status, body, want)
		}
	}
	expect(200, request{user: "ada", password: "right"})
	expect(401, request{user: "ada", password: "wrong"})
	expect(401, request{})
	configure(t, dir, "")
	expect(403, request{user: "ada", password: "wrong"})
	expect(403, request{})
	configure(t, dir, users(t, "another one"))
	expect(200, request{user: "ada", password: "another one"})

	a := kit.NewAuthority(t)
	own := a.Issue(t, t.TempDir(), "")
	a.Issue(t, dir, "")
	l = serve(t, Config{Addr: addr, ConfigFile: configure(t, dir, mutual(a))})
	if answer, body := send(t, overTLS(a, false, own), l, request{}); answer.StatusCode != 200 {
		t.Errorf("%s: %s", answer.Status, body)
	}
	configure(t, dir, withTLS)
	if answer, body := send(t, overTLS(a, false), l, request{}); answer.StatusCode != 403 {
		t.Errorf("without a certificate: %s: %s", answer.Status, body)
	}
}

// TestOnLoopbackWithUsers: also on this machine only, users are asked for.
func TestOnLoopbackWithUsers(t *testing.T) {
	l := serve(t, Config{ConfigFile: configure(t, t.TempDir(), users(t, "right"))})
	answer, _ := send(t, plain, l, request{})
	if answer.StatusCode != 401 || answer.Header.Get("WWW-Authenticate") != "Basic" || answer.Header.Get("Content-Security-Policy") != policy {
		t.Errorf("%s, %v", answer.Status, answer.Header)
	}
	if answer, body := send(t, plain, l, request{user: "ada", password: "right"}); answer.StatusCode != 200 || body != "ada|user ada" {
		t.Errorf("%s: %s", answer.Status, body)
	}
}

// TestPasswordsInClearText: it is said when passwords would travel without TLS.
func TestPasswordsInClearText(t *testing.T) {
	log := new(kit.Output)
	serve(t, Config{Addr: ":0", ConfigFile: configure(t, t.TempDir(), users(t, "x")), Log: slog.New(slog.NewTextHandler(log, nil))})
	if log.Count("passwords travel in clear text") != 1 {
		t.Error(log.String())
	}
}

// TestEnds: neither a stream nor a slow answer delays the end.
func TestEnds(t *testing.T) {
	entered := make(chan struct{}, 2)
	l, err := Listen(Config{Addr: "127.0.0.1:0", Log: kit.Logger(t), Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s, err := NewStream(w); err != nil {
			t.Error(err)
		} else if _, err := s.Write([]byte(": begun\n\n")); err != nil {
			t.Error(err)
		}
		entered <- struct{}{}
		<-r.Context().Done()
	})})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- l.Serve(ctx) }()
	asked := make(chan error, 2)
	for range cap(asked) {
		go func() {
			_, _, err := trySend(t, plain, l, request{path: "/live"})
			asked <- err
		}()
		<-entered
	}
	begun := time.Now()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
	// The server would wait for a second, then close the connections.
	if took := time.Since(begun); took > 900*time.Millisecond {
		t.Errorf("it took %v to end", took)
	}
	for range cap(asked) {
		if err := <-asked; err != nil {
			t.Errorf("a stream ended with %v, not as one that is over", err)
		}
	}
}
