package httpd

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// TestWebConfigLogins: what a web configuration file demands of a client. A certificate that
// nobody verifies, or that may be missing, is no login.
func TestWebConfigLogins(t *testing.T) {
	a, dir := kit.NewAuthority(t), t.TempDir()
	a.Issue(t, dir, "")
	ca := "  client_ca_file: " + a.File + "\n"
	users := withUsers + hash(t, "right") + "\n"
	for content, want := range map[string]WebConfig{
		"":              {},
		users:           {Users: true},
		withTLS:         {TLS: true},
		withTLS + users: {TLS: true, Users: true},
		withTLS + "  client_auth_type: RequireAndVerifyClientCert\n" + ca:         {TLS: true, ClientCertificates: true},
		withTLS + "  client_auth_type: RequireAndVerifyClientCert\n" + ca + users: {TLS: true, ClientCertificates: true, Users: true},
		withTLS + "  client_auth_type: VerifyClientCertIfGiven\n" + ca:            {TLS: true},
		withTLS + "  client_auth_type: RequireAnyClientCert\n":                    {TLS: true},
		withTLS + "  client_auth_type: RequestClientCert\n":                       {TLS: true},
		withTLS + "  client_auth_type: NoClientCert\n":                            {TLS: true},
	} {
		got, err := ReadWebConfig(configure(t, dir, content))
		got.Certificate = nil
		if err != nil || got != want {
			t.Errorf("%q: %+v, %v; want %+v", content, got, err, want)
		}
	}
}

// TestHandlerBefore: what is before the check of users answers all requests, and its headers
// are also those of a refusal. The file is read for each request.
func TestHandlerBefore(t *testing.T) {
	dir := t.TempDir()
	file := configure(t, dir, withUsers+hash(t, "right"))
	s, err := ListenHandler(HandlerConfig{
		Addr: "127.0.0.1:0", MaxConnections: 10, WebConfigFile: file, Log: kit.Logger(t),
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "inside") }),
		Before: func(next http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("X-Before", r.Method)
				if r.URL.Path != "/open" {
					next.ServeHTTP(w, r)
				}
			})
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	kit.Run(t, s.Serve)
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for path, want := range map[string]int{"/": 401, "/open": 200} {
		got, header, err := status(t, http.DefaultClient, "GET", s.URL()+path, "", "")
		if err != nil || got != want || header.Get("X-Before") != "GET" {
			t.Errorf("%s: %d, %v, %v", path, got, header, err)
		}
	}
	if got, _, err := status(t, http.DefaultClient, "GET", s.URL()+"/", "prometheus", "right"); err != nil || got != 200 {
		t.Errorf("with a password: %d, %v", got, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if got, header, err := status(t, http.DefaultClient, "GET", s.URL()+"/", "prometheus", "right"); err != nil || got != 500 || header.Get("X-Before") != "GET" {
		t.Errorf("without the file: %d, %v", got, err)
	}
	conn, err := net.Dial("tcp", s.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	fmt.Fprint(conn, "OPTIONS * HTTP/1.0\r\n\r\n")
	if answer, err := io.ReadAll(conn); err != nil || !strings.Contains(string(answer), "X-Before: OPTIONS") {
		t.Errorf("OPTIONS *: %s, %v", answer, err)
	}
}

// TestEndRequests: with EndRequests the contexts of requests are canceled at the end, and the
// server does not wait for its time-out; without, the requests may finish.
func TestEndRequests(t *testing.T) {
	for _, end := range []bool{true, false} {
		entered, ended := make(chan struct{}), make(chan bool, 1)
		s, err := ListenHandler(HandlerConfig{
			Addr: "127.0.0.1:0", MaxConnections: 10, Log: kit.Logger(t), EndRequests: end, Timeouts: Timeouts{Shutdown: time.Minute},
			Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				close(entered)
				select {
				case <-r.Context().Done():
					ended <- true
				case <-time.After(200 * time.Millisecond):
					ended <- false
				}
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- s.Serve(ctx) }()
		asked := make(chan error, 1)
		go func() {
			_, _, err := status(t, client(t, kit.NewAuthority(t)), "GET", s.URL(), "", "")
			asked <- err
		}()
		<-entered
		cancel()
		if err := <-served; err != nil {
			t.Error(err)
		}
		if got := <-ended; got != end {
			t.Errorf("EndRequests %v: canceled %v", end, got)
		}
		if err := <-asked; err != nil {
			t.Errorf("EndRequests %v: %v", end, err)
		}
	}
}
