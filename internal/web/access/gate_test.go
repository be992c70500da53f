package access

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// everywhere calls do with a server and a client for each way to speak HTTP: HTTP/1.1 without
// and with TLS, and HTTP/2.
func everywhere(t *testing.T, c Config, do func(t *testing.T, client *http.Client, l *Listener)) {
	t.Helper()
	t.Run("HTTP/1.1", func(t *testing.T) { do(t, plain, serve(t, c)) })
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	c.ConfigFile = configure(t, dir, withTLS)
	t.Run("HTTP/1.1 with TLS", func(t *testing.T) { do(t, overTLS(a, false), serve(t, c)) })
	t.Run("HTTP/2", func(t *testing.T) { do(t, overTLS(a, true), serve(t, c)) })
}

// ours are the names of the page in these tests. With a proxy that is trusted it may have
// them without a login.
var ours = Config{
	Hosts: []string{"rollcall.example.com", "10.0.0.5", "fd00::5"}, UserHeader: "X-User",
	TrustedProxies: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")},
}

// byProxy is the header of a trusted proxy, with more.
func byProxy(more ...string) http.Header {
	h := http.Header{"X-User": {"ada"}}
	for i := 0; i < len(more); i += 2 {
		h.Add(more[i], more[i+1])
	}
	return h
}

// TestHosts: requests for another name are refused, whatever it looks like.
func TestHosts(t *testing.T) {
	good := []string{
		"localhost", "localhost:1", "LocalHost:8088", "127.0.0.1", "127.0.0.1:8088", "127.255.255.254:1", "[::1]", "[::1]:8088", "[0:0::1]:1",
	}
	bad := []string{
		"evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "127.evil.example:8088", "localhost.", "127.1", "127.0.0.01", "0x7f.0.0.1", "2130706433",
		"0.0.0.0", "0.0.0.0:8088", "[::]:8088", "10.0.0.6", "[::ffff:127.0.0.1]", "[::ffff:127.0.0.1]:1", "[::2]",
		"[localhost]", "localhost:x", "localhost:", "localhost:1:2", "::1", "[::1", "evil.example@localhost", "localhost#x", "rollcall", "rollcall.example.com.evil.example",
	}
	names := []string{"rollcall.example.com", "ROLLCALL.example.com:443", "10.0.0.5", "10.0.0.5:8088", "[fd00::5]", "[FD00:0::5]:8088"}
	for name, tt := range map[string]struct {
		config    Config
		good, bad []string
	}{
		"loopback":   {Config{}, good, append(bad, names...)},
		"with names": {ours, append(good, names...), bad},
	} {
		g := gate{hosts: tt.config.Hosts}
		for i, host := range append(tt.good, append(tt.bad, "[::1%25lo]", "[::1%lo]:80", "", ":80")...) {
			want := i < len(tt.good)
			if called, ok := hostOf(host); (ok && g.knows(called)) != want {
				t.Errorf("%s: %q: want %v", name, host, want)
			}
		}
		everywhere(t, tt.config, func(t *testing.T, client *http.Client, l *Listener) {
			for i, host := range append(tt.good, tt.bad...) {
				answer, body, err := trySend(t, client, l, request{host: host, header: byProxy()})
				switch {
				case err != nil: // the client refuses to send some
					if i < len(tt.good) {
						t.Errorf("%q: %v", host, err)
					}
				case i < len(tt.good) && answer.StatusCode != 200:
					t.Errorf("%q: %s: %s", host, answer.Status, body)
				case i >= len(tt.good) && answer.StatusCode != 421 && answer.StatusCode != 400:
					t.Errorf("%q: %s: %s", host, answer.Status, body)
				case answer.StatusCode == 421 && !strings.Contains(body, "ROLLCALL_PAGE_HOSTS"):
					t.Errorf("%q: %s does not say what to set", host, body)
				}
			}
		})
	}
}

// TestMethods: GET and HEAD are answered, without a body in the request.
func TestMethods(t *testing.T) {
	everywhere(t, Config{}, func(t *testing.T, client *http.Client, l *Listener) {
		for _, tt := range []struct {
			method, body string
			want         int
		}{
			{"GET", "", 200},
			{"HEAD", "", 200},
			{"GET", "x", 400},
			{"POST", "x", 405},
			{"POST", "", 405},
			{"PUT", "x", 405},
			{"DELETE", "", 405},
			{"PATCH", "x", 405},
			{"OPTIONS", "", 405},
			{"TRACE", "", 405},
			{"get", "", 405},
			{"PROPFIND", "", 405},
		} {
			for _, path := range []string{"/", "/livez"} {
				answer, body := send(t, client, l, request{method: tt.method, body: tt.body, path: path})
				if answer.StatusCode != tt.want || (answer.Header.Get("Allow") == "GET, HEAD") != (tt.want == 405) {
					t.Errorf("%s %s with %q: %s, %v: %s", tt.method, path, tt.body, answer.Status, answer.Header, body)
				}
				if tt.method == "HEAD" && body != "" {
					t.Errorf("HEAD has the body %q", body)
				}
			}
		}
	})
}

// TestFetchMetadata: what another site asks for is refused, but for opening the page.
func TestFetchMetadata(t *testing.T) {
	const site, mode, dest, origin = "Sec-Fetch-Site", "Sec-Fetch-Mode", "Sec-Fetch-Dest", "Origin"
	everywhere(t, ours, func(t *testing.T, client *http.Client, l *Listener) {
		for _, tt := range []struct {
			header []string
			want   int
		}{
			{nil, 200}, // curl
			{[]string{site, "none", mode, "navigate", dest, "document"}, 200},
			{[]string{site, "same-origin", mode, "cors", dest, "empty"}, 200},
			{[]string{site, "same-origin", mode, "no-cors", dest, "script"}, 200},
			{[]string{site, "cross-site", mode, "navigate", dest, "document"}, 200},
			{[]string{site, "same-site", mode, "navigate", dest, "document"}, 200},
			{[]string{site, "cross-site", mode, "navigate", dest, "iframe"}, 403},
			{[]string{site, "cross-site", mode, "navigate", dest, "embed"}, 403},
			{[]string{site, "cross-site", mode, "navigate"}, 403},
			{[]string{site, "cross-site", mode, "no-cors", dest, "image"}, 403},
			{[]string{site, "cross-site", mode, "no-cors", dest, "document"}, 403},
			{[]string{site, "cross-site", mode, "cors", dest, "empty", origin, "https://rollcall.example.com"}, 403},
			{[]string{site, "same-site", mode, "cors", dest, "empty"}, 403},
			{[]string{site, "same-site", mode, "no-cors", dest, "script"}, 403},
			{[]string{site, "cross-site"}, 403},
			{[]string{site, "same-origin", site, "cross-site"}, 403},
			{[]string{site, "none, cross-site", mode, "cors"}, 403},
			{[]string{site, "Same-Origin"}, 403},
			{[]string{site, "cross-site", mode, "navigate", mode, "cors", dest, "document"}, 403},
			// An older browser, or plain HTTP.
			{[]string{origin, "https://rollcall.example.com"}, 200},
			{[]string{origin, "http://localhost:8088"}, 200},
			{[]string{origin, "https://evil.example"}, 403},
			{[]string{origin, "null"}, 403},
			{[]string{origin, "https://evil.example%"}, 403},
			{[]string{origin, "https://rollcall.example.com", origin, "https://evil.example"}, 403},
		} {
			if answer, body := send(t, client, l, request{header: byProxy(tt.header...)}); answer.StatusCode != tt.want {
				t.Errorf("%q: %s: %s, want %d", tt.header, answer.Status, body, tt.want)
			}
		}
	})
}

// TestProxies: only trusted proxies are let in, with one user each time; the header of nobody
// else counts. /livez is answered to everybody.
func TestProxies(t *testing.T) {
	here := ours
	elsewhere := ours
	elsewhere.TrustedProxies = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("127.0.0.2/32"), netip.MustParsePrefix("::/8")}
	for _, tt := range []struct {
		config Config
		header http.Header
		path   string
		want   int
		user   string
	}{
		{here, byProxy(), "/", 200, "ada"},
		{here, http.Header{"X-User": {"  ada@example.com  "}}, "/", 200, "ada@example.com"},
		{here, http.Header{"X-User": {"été"}}, "/", 200, "été"},
		{here, nil, "/", 401, ""},
		{here, http.Header{"X-User": {""}}, "/", 401, ""},
		{here, http.Header{"X-User": {" "}}, "/", 401, ""},
		{here, byProxy("X-User", "root"), "/", 401, ""},
		{here, http.Header{"X-User": {strings.Repeat("a", maxName+1)}}, "/", 401, ""},
		{here, http.Header{"X_user": {"ada"}, "X-Users": {"ada"}}, "/", 401, ""},
		{here, nil, "/livez", 200, ""},
		{elsewhere, byProxy(), "/", 403, ""},
		{elsewhere, byProxy("X-Forwarded-For", "10.0.0.7"), "/", 403, ""},
		{elsewhere, nil, "/", 403, ""},
		{elsewhere, nil, "/livez", 200, ""},
		{Config{}, byProxy(), "/", 200, ""},
	} {
		l := serve(t, tt.config)
		answer, body := send(t, plain, l, request{header: tt.header, path: tt.path})
		user, _, _ := strings.Cut(body, "|")
		if answer.StatusCode != tt.want || tt.want == 200 && tt.path == "/" && user != tt.user {
			t.Errorf("%v, %s: %s: %s, want %d and user %q", tt.header, tt.path, answer.Status, body, tt.want, tt.user)
		}
	}
	// The peer is compared as the address it is, however the listener sees it.
	g := gate{proxies: ours.TrustedProxies}
	for peer, want := range map[string]bool{
		"127.0.0.1:1": true, "[::ffff:127.0.0.1]:1": true, "10.0.0.1:1": false, "[::1]:1": false, "@": false, "": false,
	} {
		if got := g.isProxy(&http.Request{RemoteAddr: peer}); got != want {
			t.Errorf("%s: %v", peer, got)
		}
	}
}

// TestProxyAndUsers: with both a proxy and users, both are needed, and the user is the one
// whom the proxy names.
func TestProxyAndUsers(t *testing.T) {
	c := ours
	c.ConfigFile = configure(t, t.TempDir(), users(t, "right"))
	l := serve(t, c)
	if answer, body := send(t, plain, l, request{header: http.Header{"X-User": {"bob"}}, user: "ada", password: "right"}); answer.StatusCode != 200 || body != "bob|proxy bob" {
		t.Errorf("%s: %s", answer.Status, body)
	}
	if answer, _ := send(t, plain, l, request{header: byProxy()}); answer.StatusCode != 401 {
		t.Errorf("without a password: %s", answer.Status)
	}
	if answer, _ := send(t, plain, l, request{user: "ada", password: "right"}); answer.StatusCode != 401 {
		t.Errorf("without the header: %s", answer.Status)
	}
}

// TestHeaders: every answer has the security headers, also refusals and those of the check of
// users. A handler may let its answer be kept.
func TestHeaders(t *testing.T) {
	want := map[string]string{
		"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; " +
			"base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types rollcall",
		"X-Content-Type-Options": "nosniff", "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Resource-Policy": "same-origin",
		"Referrer-Policy": "same-origin", "Cache-Control": "no-store", "Strict-Transport-Security": "", "Server": "",
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", whoami)
	mux.HandleFunc("GET /asset", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Cache-Control", "immutable") })
	l := serve(t, Config{Handler: mux, ConfigFile: configure(t, t.TempDir(), users(t, "right"))})
	for _, q := range []request{
		{user: "ada", password: "right"},
		{},
		{path: "/livez"},
		{path: "/none", user: "ada", password: "right"},
		{method: "POST"},
		{host: "evil.example"},
		{path: "/asset", user: "ada", password: "right"},
		{header: http.Header{"Sec-Fetch-Site": {"cross-site"}}},
		{method: "GET", body: "x"},
	} {
		answer, _ := send(t, plain, l, q)
		for name, value := range want {
			if name == "Cache-Control" && q.path == "/asset" {
				value = "immutable"
			}
			if got := answer.Header.Get(name); got != value {
				t.Errorf("%+v: %s: %s is %q, want %q", q, answer.Status, name, got, value)
			}
		}
	}
	// The operator's headers win.
	l = serve(t, Config{ConfigFile: configure(t, t.TempDir(), "http_server_config:\n  headers:\n    Content-Security-Policy: default-src 'self'\n")})
	if answer, _ := send(t, plain, l, request{}); answer.Header.Get("Content-Security-Policy") != "default-src 'self'" {
		t.Errorf("%v", answer.Header)
	}
}

// TestTransportSecurity: with TLS, browsers are told never to use anything else, but not for
// localhost.
func TestTransportSecurity(t *testing.T) {
	everywhere(t, ours, func(t *testing.T, client *http.Client, l *Listener) {
		secured := strings.HasPrefix(l.URL(), "https:")
		for host, other := range map[string]bool{"rollcall.example.com": true, "10.0.0.5:8088": true, "localhost": false, "127.0.0.1:8088": false, "[::1]:8088": false} {
			answer, _ := send(t, client, l, request{host: host, header: byProxy()})
			if got := answer.Header.Get("Strict-Transport-Security"); got != "max-age=31536000" && secured && other || got != "" && !(secured && other) {
				t.Errorf("%s: %q", host, got)
			}
		}
	})
}

// TestLivez: it is answered without a login, but not for every name; with client certificates
// it needs one, as there is no connection without.
func TestLivez(t *testing.T) {
	l := serve(t, Config{ConfigFile: configure(t, t.TempDir(), users(t, "right"))})
	if answer, body := send(t, plain, l, request{path: "/livez"}); answer.StatusCode != 200 || body != "ok\n" {
		t.Errorf("%s: %s", answer.Status, body)
	}
	if answer, _ := send(t, plain, l, request{path: "/livez", host: "evil.example"}); answer.StatusCode != 421 {
		t.Errorf("for another name: %s", answer.Status)
	}
	for _, path := range []string{"/livez/", "//livez", "/livez/..", "/LIVEZ", "/livez%2F"} {
		if answer, body := send(t, plain, l, request{path: path}); answer.StatusCode != 401 {
			t.Errorf("%s: %s: %s", path, answer.Status, body)
		}
	}
	a, dir := kit.NewAuthority(t), t.TempDir()
	own := a.Issue(t, dir, "")
	l = serve(t, Config{ConfigFile: configure(t, dir, mutual(a))})
	if answer, body := send(t, overTLS(a, true, own), l, request{path: "/livez"}); answer.StatusCode != 200 || body != "ok\n" {
		t.Errorf("with a certificate: %s: %s", answer.Status, body)
	}
	if _, _, err := trySend(t, overTLS(a, true), l, request{path: "/livez"}); err == nil {
		t.Error("without a certificate there is an answer")
	}
}

// TestHostileRequests: raw requests get one answer each, none of which is the handler's.
func TestHostileRequests(t *testing.T) {
	reached := make(chan string, 100)
	l := serve(t, Config{
		TrustedProxies: ours.TrustedProxies, UserHeader: "X-User",
		Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { reached <- r.RequestURI }),
	})
	const fine = "Host: localhost\r\nX-User: ada\r\n"
	for name, tt := range map[string]struct{ text, status string }{
		"OPTIONS *":              {"OPTIONS * HTTP/1.1\r\n" + fine + "\r\n", "405"},
		"CONNECT":                {"CONNECT localhost:22 HTTP/1.1\r\n" + fine + "\r\n", "421 405"},
		"two hosts":              {"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\nX-User: ada\r\n\r\n", "400"},
		"no host":                {"GET / HTTP/1.1\r\nX-User: ada\r\n\r\n", "400"},
		"no host, HTTP/1.0":      {"GET / HTTP/1.0\r\nX-User: ada\r\n\r\n", "421"},
		"host in the target":     {"GET http://evil.example/ HTTP/1.1\r\n" + fine + "\r\n", "421"},
		"two users":              {"GET / HTTP/1.1\r\n" + fine + "x-user: root\r\n\r\n", "401"},
		"a space before a colon": {"GET / HTTP/1.1\r\nHost: localhost\r\nX-User : ada\r\n\r\n", "400"},
		"a control character":    {"GET / HTTP/1.1\r\nHost: localhost\r\nX-User: a\x00da\r\n\r\n", "400"},
		"two lengths":            {"GET / HTTP/1.1\r\n" + fine + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "400"},
		"a length and chunks":    {"GET / HTTP/1.1\r\n" + fine + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		"chunks":                 {"GET / HTTP/1.1\r\n" + fine + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
		"a hidden second one":    {"POST / HTTP/1.1\r\n" + fine + "Content-Length: 30\r\n\r\nGET / HTTP/1.1\r\n" + fine + "\r\n", "405"},
		"a long header":          {"GET / HTTP/1.1\r\n" + fine + "A: " + strings.Repeat("x", 32<<10) + "\r\n\r\n", "431"},
		"HTTP/2 in clear text":   {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "505 400 421"},
		"not HTTP":               {"\x16\x03\x01\x00\x05hello\r\n\r\n", "400"},
	} {
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, tt.text) // the server may have disconnected before the end
		answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got := answer.Status[:3]; !strings.Contains(tt.status, got) {
			t.Errorf("%s: %s, want %s", name, answer.Status, tt.status)
		}
		conn.Close()
	}
	select {
	case target := <-reached:
		t.Errorf("the handler was reached: %s", target)
	default:
	}
}

// TestBodyIsNotRead: an answer does not wait for the body of the request.
func TestBodyIsNotRead(t *testing.T) {
	l := serve(t, Config{})
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	begun := time.Now()
	if _, err := io.WriteString(conn, "POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000\r\n\r\nx"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil || answer.StatusCode != 405 || !answer.Close || time.Since(begun) > 5*time.Second {
		t.Errorf("%v, %v after %v", answer, err, time.Since(begun))
	}
}

// TestProtocols: HTTP/2 is spoken with TLS.
func TestProtocols(t *testing.T) {
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	l := serve(t, Config{ConfigFile: configure(t, dir, withTLS)})
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: a.Pool, NextProtos: []string{"h2", "http/1.1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if got := c.ConnectionState().NegotiatedProtocol; got != "h2" {
		t.Errorf("speaks %s, want h2", got)
	}
}
