package httpd

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"rollcall/internal/test/kit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves until the test ends, and returns the URL.
func serve(t testing.TB, c ServerConfig) string {
	t.Helper()
	c.Addr = "127.0.0.1:0"
	c.Log = kit.Logger(t)
	if c.Gatherer == nil {
		c.Gatherer = prometheus.NewRegistry()
	}
	s, err := Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(t, s.Serve)
	t.Cleanup(http.DefaultClient.CloseIdleConnections) // before the server ends
	return s.URL()
}

// ask makes a request and returns the answer and its body.
func ask(t testing.TB, method, url string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer, string(body)
}

func TestRoutes(t *testing.T) {
	reg := prometheus.NewRegistry()
	machines := prometheus.NewGauge(prometheus.GaugeOpts{Name: "rollcall_machines", Help: "Machines."})
	machines.Set(3)
	reg.MustRegister(machines)
	url := serve(t, ServerConfig{Version: `v1<b>`, Gatherer: reg})
	const text = "text/plain; charset=utf-8"
	for _, tt := range []struct {
		method, path string
		status       int
		contentType  string
		body         string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", "v1&lt;b&gt;"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", ""},
		{"GET", "/livez", 200, text, "ok\n"},
		{"HEAD", "/livez", 200, text, ""},
		{"GET", "/readyz", 200, text, "ok\n"},
		{"GET", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", "rollcall_machines 3\n"},
		{"HEAD", "/metrics", 200, "text/plain; version=0.0.4; charset=utf-8; escaping=underscores", ""},
		{"GET", "/favicon.ico", 404, text, "404"},
		{"GET", "/livez/", 404, text, "404"},
		{"GET", "/debug/pprof/", 404, text, "404"},
		{"POST", "/nowhere", 404, text, "404"},
		{"POST", "/", 405, text, ""},
		{"POST", "/metrics", 405, text, ""},
		{"DELETE", "/livez", 405, text, ""},
		{"PUT", "/readyz", 405, text, ""},
		{"OPTIONS", "/metrics", 405, text, ""},
	} {
		answer, body := ask(t, tt.method, url+tt.path)
		if answer.StatusCode != tt.status || answer.Header.Get("Content-Type") != tt.contentType || !strings.Contains(body, tt.body) {
			t.Errorf("%s %s: %s, %s\n%s", tt.method, tt.path, answer.Status, answer.Header.Get("Content-Type"), body)
		}
		if tt.method == "HEAD" && body != "" {
			t.Errorf("HEAD %s has a body", tt.path)
		}
		if allow := answer.Header.Get("Allow"); (tt.status == 405) != (allow == "GET, HEAD") {
			t.Errorf("%s %s: Allow %q", tt.method, tt.path, allow)
		}
		if answer.Header.Get("X-Content-Type-Options") != "nosniff" ||
			!strings.HasPrefix(answer.Header.Get("Content-Security-Policy"), "default-src 'none'") {
			t.Errorf("%s %s: headers %v", tt.method, tt.path, answer.Header)
		}
	}
}

func TestLandingPage(t *testing.T) {
	url := serve(t, ServerConfig{Version: "v1.2.3"})
	_, page := ask(t, "GET", url+"/")
	for _, path := range []string{"metrics", "readyz?verbose", "livez"} {
		if !strings.Contains(page, `<a href="`+path+`">`) {
			t.Errorf("no link to %s", path)
		}
		if answer, _ := ask(t, "GET", url+"/"+path); answer.StatusCode != 200 {
			t.Errorf("%s: %s", path, answer.Status)
		}
	}
	if !strings.Contains(page, "v1.2.3") || strings.Contains(page, "http") || strings.Contains(page, "src=") {
		t.Errorf("no version, or external resources:\n%s", page)
	}
}

func TestReady(t *testing.T) {
	var caughtUp, connected atomic.Bool
	state := func(holds *atomic.Bool, yes, no string) func() (bool, string) {
		return func() (bool, string) {
			if holds.Load() {
				return true, yes
			}
			return false, no
		}
	}
	url := serve(t, ServerConfig{Checks: []Check{
		{Name: "caught_up", Decides: true, Run: state(&caughtUp, "at place 6", "5 messages behind")},
		{Name: "nats", Run: state(&connected, "connected", "reconnecting")},
	}})
	expect := func(query string, status int, body string) {
		t.Helper()
		if answer, got := ask(t, "GET", url+"/readyz"+query); answer.StatusCode != status || got != body {
			t.Errorf("readyz%s: %s\n%s; want %d\n%s", query, answer.Status, got, status, body)
		}
	}
	const nothing = "[-] caught_up: 5 messages behind\n[-] nats: reconnecting (ready without it)\nreadyz check failed\n"
	expect("", 503, nothing)
	expect("?verbose", 503, nothing)
	connected.Store(true)
	expect("", 503, "[-] caught_up: 5 messages behind\n[+] nats: connected\nreadyz check failed\n")
	caughtUp.Store(true)
	expect("", 200, "ok\n")
	expect("?verbose", 200, "[+] caught_up: at place 6\n[+] nats: connected\nreadyz check passed\n")
	connected.Store(false)
	expect("", 200, "ok\n")
	expect("?verbose=1", 200, "[+] caught_up: at place 6\n[-] nats: reconnecting (ready without it)\nreadyz check passed\n")
	if answer, _ := ask(t, "GET", url+"/livez"); answer.StatusCode != 200 {
		t.Errorf("livez: %s", answer.Status)
	}
}

func TestAddressInUse(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = Listen(ServerConfig{Addr: taken.Addr().String(), Log: kit.Logger(t)})
	want := "listening on " + taken.Addr().String() + " for HTTP: the address is in use: stop the program that listens there, or set ROLLCALL_HTTP_ADDR to another"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	for _, addr := range []string{"203.0.113.1:80", "nonsense", "127.0.0.1:99999"} {
		if _, err := Listen(ServerConfig{Addr: addr, Log: kit.Logger(t)}); err == nil || !strings.Contains(err.Error(), "ROLLCALL_HTTP_ADDR") {
			t.Errorf("%s: got %v, want an error that names ROLLCALL_HTTP_ADDR", addr, err)
		}
	}
}

func TestCloseReleasesTheAddress(t *testing.T) {
	s, err := Listen(ServerConfig{Addr: "127.0.0.1:0", Gatherer: prometheus.NewRegistry(), Log: kit.Logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := net.Listen("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	again.Close()
	if err := s.Serve(t.Context()); err == nil {
		t.Error("a closed server serves")
	}
}

// Clients that send an incomplete request, or nothing, are disconnected, and a header
// that is too long is refused.
func TestSlowAndLongRequests(t *testing.T) {
	url := serve(t, ServerConfig{Timeouts: Timeouts{Read: 50 * time.Millisecond, Idle: 50 * time.Millisecond}})
	for name, start := range map[string]string{
		"nothing":     "",
		"half a line": "GET /livez HT",
		"no end":      "GET /livez HTTP/1.1\r\nHost: x\r\nA: b\r\n",
		"no body":     "GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n",
		"idle":        "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n",
	} {
		c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if _, err := io.WriteString(c, start); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(io.Discard, bufio.NewReader(c))
		if ne, ok := err.(net.Error); ok && ne.Timeout() {
			t.Errorf("%s: the connection is still open", name)
		}
	}
	url = serve(t, ServerConfig{})
	answer, _ := ask(t, "GET", url+"/livez", "A", strings.Repeat("x", 2*maxHeader))
	if answer.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("long header: %s", answer.Status)
	}
}

// Requests in flight when the server stops are answered, or cut off after the time-out.
func TestShutdown(t *testing.T) {
	entered, release := make(chan struct{}), make(chan struct{})
	slow := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		entered <- struct{}{}
		<-release
		return nil, nil
	})
	for name, tt := range map[string]struct {
		timeout  time.Duration
		answered bool
	}{
		"answered": {time.Minute, true},
		"cut off":  {time.Millisecond, false},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := Listen(ServerConfig{
				Addr: "127.0.0.1:0", Gatherer: slow, Log: kit.Logger(t), Timeouts: Timeouts{Shutdown: tt.timeout},
			})
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(t.Context())
			served, asked := make(chan error, 1), make(chan error, 1)
			go func() { served <- s.Serve(ctx) }()
			go func() {
				answer, err := http.Get("http://" + s.Addr().String() + "/metrics")
				if err == nil {
					answer.Body.Close()
				}
				asked <- err
			}()
			<-entered
			cancel()
			if tt.answered {
				kit.Eventually(t, func() bool {
					c, err := net.Dial("tcp", s.Addr().String())
					if err == nil {
						c.Close()
					}
					return err != nil
				}, "new connections are refused")
				release <- struct{}{}
			}
			if err := <-asked; (err == nil) != tt.answered {
				t.Errorf("the answer in flight: %v", err)
			}
			if err := <-served; err != nil {
				t.Errorf("serving: %v", err)
			}
			if !tt.answered {
				release <- struct{}{}
			}
			http.DefaultClient.CloseIdleConnections()
		})
	}
}
