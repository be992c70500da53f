package service

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/test/kit"
)

// TestTwoServices: two services run in one process at a time, and one of them again after
// its end: the package has no global state.
func TestTwoServices(t *testing.T) {
	run := func(dir string) (log *kit.Output, end func()) {
		t.Helper()
		kit.Environment(t, map[string]string{
			"ROLLCALL_DATA_DIR": dir, "ROLLCALL_EMBEDDED_ADDR": "127.0.0.1:0", "ROLLCALL_HTTP_ADDR": "127.0.0.1:0", "ROLLCALL_PAGE_ADDR": "127.0.0.1:0",
		})
		cfg, err := config.ReadServe(httpd.CheckWebConfig)
		if err != nil {
			t.Fatal(err)
		}
		log = new(kit.Output)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, *cfg, Build{Version: "test"}, slog.New(slog.NewTextHandler(log, nil))) }()
		kit.Eventually(t, func() bool { return log.Has("msg=ready") }, "a service is ready")
		return log, func() {
			t.Helper()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	first := t.TempDir()
	log, endFirst := run(first)
	kit.PublishLogins(t, kit.JetStream(t, kit.Conn(t, value(log, "nats="))), 1)
	kit.Eventually(t, func() bool { return reads(t, value(log, "url=")) }, "the first service reads the event")
	_, endSecond := run(t.TempDir())
	endFirst()
	again, endAgain := run(first)
	if !again.Has("snapshot loaded") {
		t.Errorf("the second start does not continue from the first's snapshot: %s", again.String())
	}
	endAgain()
	endSecond()
}

// value returns the value of a key in the log.
func value(log *kit.Output, key string) string {
	_, rest, _ := strings.Cut(log.String(), key)
	return strings.Fields(rest + " none")[0]
}

// reads reports whether a service has read one event.
func reads(t *testing.T, url string) bool {
	answer, err := http.Get(url + "metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return err == nil && strings.Contains(string(text), "\nrollcall_position 1\n")
}
