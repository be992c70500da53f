package main

import (
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"rollcall/internal/test/kit"
)

// write writes a file of its own.
func write(t *testing.T, name, content string) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// healthcheck runs the command for a service at addr with that web configuration file.
func healthcheck(t *testing.T, addr, webConfig string, args ...string) result {
	t.Helper()
	kit.Environment(t, map[string]string{"ROLLCALL_HTTP_ADDR": addr, "ROLLCALL_HTTP_CONFIG_FILE": webConfig})
	return rollcall(t.Context(), nil, append([]string{"healthcheck"}, args...)...)
}

// healthAddr returns the service's HTTP address.
func (p *process) healthAddr() string {
	u, err := url.Parse(p.metrics)
	if err != nil {
		p.t.Fatal(err)
	}
	return u.Host
}

func TestHealthcheck(t *testing.T) {
	addr := serve(t, t.TempDir()).healthAddr()
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	healthcheck(t, addr, "").check(t, exitDone, "http://"+addr+"/livez: ok\n", "")
	healthcheck(t, addr, "", "--ready").check(t, exitDone, "http://"+addr+"/readyz: ok\n", "")
	for _, everywhere := range []string{"0.0.0.0:" + port, ":" + port} {
		healthcheck(t, everywhere, "").check(t, exitDone, "http://"+addr+"/livez: ok\n", "")
	}
	healthcheck(t, "127.0.0.1:0", "").check(t, exitConfig, "", "port 0")
	healthcheck(t, addr, "", "--user", "x").check(t, exitUsage, "", "--password-file")
	healthcheck(t, addr, "", "--cert", "x").check(t, exitUsage, "", "--key")
}

// TestHealthcheckFails: anything but a healthy service fails the check, with one line.
func TestHealthcheckFails(t *testing.T) {
	answer := func(status int, body string) string {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		t.Cleanup(s.Close)
		return s.Listener.Addr().String()
	}
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	gone := httptest.NewServer(nil)
	gone.Close()
	for name, tt := range map[string]struct{ addr, says string }{
		"not ready":    {answer(503, "[-] caught up: replaying, 5 messages to go\n[+] nats: CONNECTED\nreadyz check failed\n"), "503 Service Unavailable: [-] caught up: replaying, 5 messages to go; [+] nats: CONNECTED; readyz check failed"},
		"unauthorized": {answer(401, "Unauthorized\n"), "401 Unauthorized"},
		"redirected":   {answer(302, ""), "302 Found"},
		"hostile":      {answer(500, "\x1b[2J"), "500 Internal Server Error: \ufffd[2J"},
		"gone":         {gone.Listener.Addr().String(), "dial tcp "},
		"silent":       {silent.Addr().String(), "no answer within 3s"},
	} {
		t.Run(name, func(t *testing.T) {
			got := healthcheck(t, tt.addr, "", "--ready")
			got.check(t, exitFailed, "", "rollcall: healthcheck: http://"+tt.addr+"/readyz: "+tt.says)
			if strings.Count(got.err, "\n") != 1 {
				t.Errorf("more than a line: %q", got.err)
			}
		})
	}
}

// TestHealthcheckWithUsers: without a password the check can still tell that the service
// is alive.
func TestHealthcheckWithUsers(t *testing.T) {
	hash, err := bcrypt.GenerateFromPassword([]byte("right"), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	webConfig := write(t, "web.yml", "basic_auth_users:\n  health: "+string(hash)+"\n")
	addr := serve(t, t.TempDir(), "ROLLCALL_HTTP_CONFIG_FILE="+webConfig).healthAddr()
	right, wrong := write(t, "password", "right\n"), write(t, "password", "wrong")
	healthcheck(t, addr, webConfig).check(t, exitDone, "http://"+addr+"/livez: alive, but requires a user and a password\n", "")
	healthcheck(t, addr, webConfig, "--ready").check(t, exitFailed, "", "401 Unauthorized")
	healthcheck(t, addr, webConfig, "--user=health", "--password-file", wrong).check(t, exitFailed, "", "401 Unauthorized")
	healthcheck(t, addr, webConfig, "--user=health", "--password-file", right, "--ready").
		check(t, exitDone, "http://"+addr+"/readyz: ok\n", "")
	healthcheck(t, addr, webConfig, "--user=health", "--password-file", right+"x").check(t, exitFailed, "", "--password-file")
}

// TestHealthcheckWithTLS: only the certificate that the file names is accepted, whatever
// its name, also after it has changed.
func TestHealthcheckWithTLS(t *testing.T) {
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "rollcall.example.com")
	content := "tls_server_config:\n  cert_file: " + dir + "/cert.pem\n  key_file: " + dir + "/key.pem\n"
	webConfig := write(t, "web.yml", content)
	addr := serve(t, t.TempDir(), "ROLLCALL_HTTP_CONFIG_FILE="+webConfig).healthAddr()
	healthcheck(t, addr, webConfig, "--ready").check(t, exitDone, "https://"+addr+"/readyz: ok\n", "")
	a.Issue(t, dir, "rollcall.example.com")
	healthcheck(t, addr, webConfig).check(t, exitDone, "https://"+addr+"/livez: ok\n", "")

	other := t.TempDir()
	a.Issue(t, other, "rollcall.example.com")
	healthcheck(t, addr, write(t, "web.yml", strings.ReplaceAll(content, dir, other))).
		check(t, exitFailed, "", "the server's certificate is not the one")
	healthcheck(t, addr, "").check(t, exitFailed, "", "400 Bad Request")
	healthcheck(t, addr, other).check(t, exitConfig, "", "ROLLCALL_HTTP_CONFIG_FILE")
}

// TestHealthcheckWithMutualTLS: without a client certificate the check can still tell that
// the service is alive.
func TestHealthcheckWithMutualTLS(t *testing.T) {
	a, stranger, dir, own, foreign := kit.NewAuthority(t), kit.NewAuthority(t), t.TempDir(), t.TempDir(), t.TempDir()
	a.Issue(t, dir, "rollcall.example.com")
	a.Issue(t, own, "health")
	stranger.Issue(t, foreign, "health")
	webConfig := write(t, "web.yml", "tls_server_config:\n  cert_file: "+dir+"/cert.pem\n  key_file: "+dir+
		"/key.pem\n  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: "+a.File+"\n")
	addr := serve(t, t.TempDir(), "ROLLCALL_HTTP_CONFIG_FILE="+webConfig).healthAddr()
	healthcheck(t, addr, webConfig).check(t, exitDone, "https://"+addr+"/livez: alive, but requires a client certificate\n", "")
	healthcheck(t, addr, webConfig, "--ready").check(t, exitFailed, "", "certificate required")
	healthcheck(t, addr, webConfig, "--ready", "--cert", own+"/cert.pem", "--key", own+"/key.pem").
		check(t, exitDone, "https://"+addr+"/readyz: ok\n", "")
	healthcheck(t, addr, webConfig, "--cert", foreign+"/cert.pem", "--key", foreign+"/key.pem").
		check(t, exitFailed, "", "rollcall: healthcheck: https://")
	healthcheck(t, addr, webConfig, "--cert", own+"/none", "--key", own+"/none").check(t, exitFailed, "", "--cert and --key")
}

// TestProfilingIsServed: profiles are served on their own listener.
func TestProfilingIsServed(t *testing.T) {
	p := serve(t, t.TempDir(), "ROLLCALL_PPROF_ADDR=127.0.0.1:0")
	if got := p.get(p.says("profiling", "url") + "goroutine?debug=1"); !strings.Contains(got, "rollcall/internal/stream") {
		t.Errorf("got %.300s", got)
	}
}
