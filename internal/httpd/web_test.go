package httpd

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"rollcall/internal/test/kit"
)

const (
	withTLS   = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
	withUsers = "basic_auth_users:\n  prometheus: "
)

// hash returns the hash of a password for the file.
func hash(t testing.TB, password string) string {
	t.Helper()
	b, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// configure writes a web configuration file, overwriting an existing one.
func configure(t testing.TB, dir, content string) (path string) {
	t.Helper()
	path = filepath.Join(dir, "web.yml")
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// client returns a client that trusts an authority and makes a new connection for
// each request. Without a certificate it presents none.
func client(t testing.TB, a *kit.Authority, own ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{
		DisableKeepAlives: true, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: a.Pool, Certificates: own},
	}
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// status makes a request and returns the status of the answer, or the error.
func status(t testing.TB, c *http.Client, method, url, user, password string) (int, http.Header, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		r.SetBasicAuth(user, password)
	}
	answer, err := c.Do(r)
	if err != nil {
		return 0, nil, err
	}
	defer answer.Body.Close()
	_, err = io.Copy(io.Discard, answer.Body)
	return answer.StatusCode, answer.Header, err
}

var paths = []string{"/", "/metrics", "/livez", "/readyz", "/readyz?verbose"}

// TestTLS: everything is served over HTTPS only, HTTP/2 included, with the usual
// headers and the same methods.
func TestTLS(t *testing.T) {
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	url := serve(t, ServerConfig{WebConfigFile: configure(t, dir, withTLS)})
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Fatalf("URL is %s", url)
	}
	for _, path := range paths {
		got, header, err := status(t, client(t, a), "GET", url+path, "", "")
		if err != nil || got != 200 || header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %v, %v", path, got, header, err)
		}
	}
	got, header, err := status(t, client(t, a), "POST", url+"/metrics", "", "")
	if err != nil || got != 405 || header.Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: %d, %v, %v", got, header, err)
	}
	if got, _, err := status(t, http.DefaultClient, "GET", "http"+strings.TrimPrefix(url, "https")+"/livez", "", ""); err != nil || got != 400 {
		t.Errorf("plain HTTP: %d, %v, want 400", got, err)
	}
	if _, _, err := status(t, client(t, kit.NewAuthority(t)), "GET", url+"/livez", "", ""); err == nil {
		t.Error("the certificate is not the authority's")
	}
	c, err := tls.Dial("tcp", strings.TrimPrefix(url, "https://"), &tls.Config{RootCAs: a.Pool, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Errorf("speaks %s, want h2", got)
	}
}

// TestBoundsWithTLS: time-outs and limits also apply with TLS: a client that sends
// nothing, before the handshake or after it, is disconnected.
func TestBoundsWithTLS(t *testing.T) {
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	url := serve(t, ServerConfig{
		WebConfigFile: configure(t, dir, withTLS),
		Timeouts:      Timeouts{Read: 100 * time.Millisecond},
	})
	dial := func(protocols ...string) net.Conn {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		if protocols != nil {
			c = tls.Client(c, &tls.Config{RootCAs: a.Pool, ServerName: "127.0.0.1", NextProtos: protocols})
			if err := c.(*tls.Conn).Handshake(); err != nil {
				t.Fatal(err)
			}
		}
		return c
	}
	for name, c := range map[string]net.Conn{
		"no handshake": dial(), "no request": dial("http/1.1"),
	} {
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err := io.Copy(io.Discard, c)
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: the connection is still open", name)
		}
		c.Close()
	}
	r, err := http.NewRequestWithContext(t.Context(), "GET", url+"/livez", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("A", strings.Repeat("x", 2*maxHeader))
	if answer, err := client(t, a).Do(r); err == nil {
		answer.Body.Close()
		if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("long header: %s", answer.Status)
		}
	}
}

func TestMutualTLS(t *testing.T) {
	a, foreign, dir := kit.NewAuthority(t), kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	url := serve(t, ServerConfig{WebConfigFile: configure(t, dir,
		withTLS+"  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: "+a.File+"\n")})
	for _, path := range paths {
		for name, tt := range map[string]struct {
			client *http.Client
			in     bool
		}{
			"its own":   {client(t, a, a.Issue(t, t.TempDir(), "")), true},
			"none":      {client(t, a), false},
			"a foreign": {client(t, a, foreign.Issue(t, t.TempDir(), "")), false},
		} {
			got, _, err := status(t, tt.client, "GET", url+path, "", "")
			if (err == nil) != tt.in || tt.in && got != 200 {
				t.Errorf("%s with %s certificate: %d, %v", path, name, got, err)
			}
		}
	}
}

// TestUsers: all paths require a user and a password, and a change of them applies
// from the next request on.
func TestUsers(t *testing.T) {
	dir := t.TempDir()
	file := configure(t, dir, withUsers+hash(t, "first"))
	url := serve(t, ServerConfig{WebConfigFile: file})
	expect := func(method, path, user, password string, want int) {
		t.Helper()
		got, header, err := status(t, http.DefaultClient, method, url+path, user, password)
		if err != nil || got != want {
			t.Errorf("%s %s as %q with %q: %d, %v, want %d", method, path, user, password, got, err, want)
		}
		if (want == 401) != (header.Get("WWW-Authenticate") == "Basic") {
			t.Errorf("%s %s: headers %v", method, path, header)
		}
	}
	for _, path := range append(paths, "/nothing") {
		expect("GET", path, "", "", 401)
		expect("GET", path, "prometheus", "wrong", 401)
		expect("GET", path, "nobody", "first", 401)
		expect("POST", path, "", "", 401)
	}
	for _, path := range paths {
		expect("GET", path, "prometheus", "first", 200)
		expect("POST", path, "prometheus", "first", 405)
	}
	configure(t, dir, withUsers+hash(t, "second"))
	expect("GET", "/metrics", "prometheus", "first", 401)
	expect("GET", "/metrics", "prometheus", "second", 200)
}

// TestMaxScrapesWithUsers: the limit also applies to requests with a login.
func TestMaxScrapesWithUsers(t *testing.T) {
	g, entered := stuck(t)
	url := serve(t, ServerConfig{Gatherer: g, WebConfigFile: configure(t, t.TempDir(), withUsers+hash(t, "right")), Timeouts: Timeouts{Shutdown: time.Millisecond}})
	var asked sync.WaitGroup
	t.Cleanup(asked.Wait)
	for range maxScrapes {
		asked.Go(func() {
			r, err := http.NewRequest("GET", url+"/metrics", nil)
			if err != nil {
				return
			}
			r.SetBasicAuth("prometheus", "right")
			if answer, err := http.DefaultClient.Do(r); err == nil {
				answer.Body.Close()
			}
		})
	}
	for range maxScrapes {
		<-entered
	}
	if got, _, err := status(t, http.DefaultClient, "GET", url+"/metrics", "prometheus", "right"); err != nil || got != 503 {
		t.Errorf("one more scrape: %d, %v, want 503", got, err)
	}
}

// TestRotatedCertificate: a changed certificate is served from the next connection
// on.
func TestRotatedCertificate(t *testing.T) {
	before, after, dir := kit.NewAuthority(t), kit.NewAuthority(t), t.TempDir()
	before.Issue(t, dir, "")
	url := serve(t, ServerConfig{WebConfigFile: configure(t, dir, withTLS)})
	if _, _, err := status(t, client(t, before), "GET", url+"/livez", "", ""); err != nil {
		t.Fatal(err)
	}
	after.Issue(t, dir, "")
	if _, _, err := status(t, client(t, after), "GET", url+"/livez", "", ""); err != nil {
		t.Error(err)
	}
	if _, _, err := status(t, client(t, before), "GET", url+"/livez", "", ""); err == nil {
		t.Error("the old certificate is still served")
	}
}

// TestHeadersOfTheFile: the operator's headers override ours.
func TestHeadersOfTheFile(t *testing.T) {
	url := serve(t, ServerConfig{WebConfigFile: configure(t, t.TempDir(),
		"http_server_config:\n  headers:\n    Strict-Transport-Security: max-age=60\n    Content-Security-Policy: default-src 'self'\n")})
	_, header, err := status(t, http.DefaultClient, "GET", url+"/", "", "")
	if err != nil || header.Get("Strict-Transport-Security") != "max-age=60" || header.Get("Content-Security-Policy") != "default-src 'self'" {
		t.Errorf("%v, %v", header, err)
	}
}

// TestWrongWebConfig: each error names the cause, but quotes no password and no key.
func TestWrongWebConfig(t *testing.T) {
	a, dir, other := kit.NewAuthority(t), t.TempDir(), t.TempDir()
	a.Issue(t, dir, "")
	a.Issue(t, other, "")
	for name, tt := range map[string]struct{ content, says string }{
		"a password":            {withUsers + "hunter2", `basic_auth_users: the value of "prometheus" is not a bcrypt hash`},
		"an anchor":             {withUsers + "*hunter2", "no value for"},
		"a tag":                 {withUsers + "!hunter2 x", "not a bcrypt hash"},
		"a list":                {withUsers + "[hunter2]", "line 2"},
		"no users":              {"basic_auth_users: hunter2", "line 1"},
		"not YAML":              {"basic_auth_users: {hunter2", "line"},
		"misspelt":              {"basic_auth_user:\n  prometheus: hunter2", "basic_auth_user"},
		"no key":                {"tls_server_config:\n  cert_file: cert.pem\n", "missing one of key or key_file"},
		"no such key":           {"tls_server_config:\n  cert_file: cert.pem\n  key_file: none.pem\n", filepath.Join(dir, "none.pem")},
		"the key of another":    {"tls_server_config:\n  cert_file: cert.pem\n  key_file: " + other + "/key.pem\n", "does not match"},
		"a key in the file":     {"tls_server_config:\n  cert_file: cert.pem\n  key: hunter2\n", "PEM"},
		"no such CA":            {withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: none.pem\n", "none.pem"},
		"a key for a CA":        {withTLS + "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: key.pem\n", "no certificate in it"},
		"no CA":                 {withTLS + "  client_auth_type: RequireAndVerifyClientCert\n", "requires a client_ca_file"},
		"a CA that is not used": {withTLS + "  client_ca_file: " + a.File + "\n", "without a Client Auth Policy"},
		"a header":              {"http_server_config:\n  headers:\n    Server: x\n", "Server"},
	} {
		t.Run(name, func(t *testing.T) {
			path := configure(t, dir, tt.content)
			_, err := ReadWebConfig(path)
			if err == nil || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "\n") {
				t.Errorf("%v, want %q", err, tt.says)
			}
			s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Gatherer: prometheus.NewRegistry(), WebConfigFile: path, Log: kit.Logger(t)})
			if err == nil || !strings.Contains(err.Error(), path) {
				t.Errorf("listening: %v, want an error that names %s", err, path)
				s.Close()
			}
		})
	}
	if _, err := ReadWebConfig(filepath.Join(dir, "none.yml")); err == nil || err.Error() != "no such file or directory" {
		t.Errorf("no file: %v", err)
	}
}

// TestPasswordsInClearText: users without TLS cause a warning, unless the address is
// a loopback address.
func TestPasswordsInClearText(t *testing.T) {
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	users := withUsers + hash(t, "right") + "\n"
	for _, tt := range []struct {
		addr, content string
		warned        bool
	}{{"127.0.0.1:0", users, false}, {"0.0.0.0:0", users, true}, {"0.0.0.0:0", users + withTLS, false}, {"0.0.0.0:0", "", false}} {
		log := new(kit.Output)
		s, err := Listen(ServerConfig{
			Addr: tt.addr, WebConfigFile: configure(t, dir, tt.content), Log: slog.New(slog.NewTextHandler(log, nil)),
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := log.Count("level=WARN"); got > 0 != tt.warned {
			t.Errorf("%s, %q: %d warnings", tt.addr, tt.content, got)
		}
	}
}

// TestInvalidFile: while the file is invalid no request is served; the error is
// logged once, without the password, and so is the recovery.
func TestInvalidFile(t *testing.T) {
	dir, log := t.TempDir(), new(kit.Output)
	s, err := Listen(ServerConfig{
		Addr: "127.0.0.1:0", Gatherer: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(log, nil)),
		WebConfigFile: configure(t, dir, withUsers+hash(t, "right")), Timeouts: Timeouts{Recheck: time.Millisecond},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	expect := func(want int) {
		t.Helper()
		if got, _, err := status(t, http.DefaultClient, "GET", s.URL()+"/livez", "prometheus", "right"); err != nil || got != want {
			t.Errorf("%d, %v, want %d", got, err, want)
		}
	}
	expect(200)
	configure(t, dir, withUsers+"[hunter2]")
	kit.Eventually(t, func() bool { return log.Count("is invalid") > 0 }, "the error is logged")
	for range 20 {
		expect(500)
	}
	configure(t, dir, withUsers+hash(t, "right"))
	kit.Eventually(t, func() bool { return log.Count("valid again") > 0 }, "the recovery is logged")
	expect(200)
	if log.Count("is invalid") > 2 || log.Count("hunter2") > 0 { // 2: the file is empty for a moment
		t.Error(log.String())
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}
