package httpd

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"

	"rollcall/internal/test/kit"
)

// TestProfiling: the profiles, and nothing else, are on a listener of their own.
func TestProfiling(t *testing.T) {
	s, err := ListenProfiling("127.0.0.1:0", kit.Logger(t))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	for path, want := range map[string]int{
		"/debug/pprof/": 200, "/debug/pprof/goroutine?debug=1": 200, "/debug/pprof/heap": 200, "/debug/pprof/profile?seconds=1": 200,
		"/debug/pprof/profile?seconds=3600": 400, // a minute at most
		"/debug/pprof/cmdline":              404,
		"/metrics":                          404, "/livez": 404, "/": 404,
	} {
		if answer, body := ask(t, "GET", s.URL()+path); answer.StatusCode != want {
			t.Errorf("%s: %s: %.100s", path, answer.Status, body)
		}
	}
	if answer, _ := ask(t, "POST", s.URL()+"/debug/pprof/heap"); answer.StatusCode != 405 {
		t.Errorf("POST: %s", answer.Status)
	}
	http.DefaultClient.CloseIdleConnections()
	cancel()
	if err := <-served; err != nil {
		t.Error(err)
	}
}

// TestProfilingAddress: a warning is logged for an address that other machines can
// reach; the error for an address in use names the variable.
func TestProfilingAddress(t *testing.T) {
	for addr, warned := range map[string]bool{"127.0.0.1:0": false, "[::1]:0": false, "localhost:0": false, "0.0.0.0:0": true, ":0": true} {
		log := new(kit.Output)
		s, err := ListenProfiling(addr, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		s.Close()
		if got := log.Count("level=WARN"); got > 0 != warned {
			t.Errorf("%s: %d warnings", addr, got)
		}
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = ListenProfiling(taken.Addr().String(), kit.Logger(t))
	if err == nil || !strings.Contains(err.Error(), "in use") || !strings.Contains(err.Error(), "ROLLCALL_PPROF_ADDR") {
		t.Errorf("got %v, want an error that names ROLLCALL_PPROF_ADDR", err)
	}
}
