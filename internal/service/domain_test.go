package service

import (
	"context"
	"log/slog"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/config"
	"rollcall/internal/httpd"
	"rollcall/internal/test/kit"
)

// TestDomain: a service that is connected to a leaf node creates and reads the streams of
// the domain that it was given; without one, those of the leaf node, and the log says so.
func TestDomain(t *testing.T) {
	hub := kit.StartHub(t)
	leaf := kit.StartLeaf(t, hub.LeafURL(), "edge")
	far, err := jetstream.NewWithDomain(kit.Conn(t, leaf.URL), "hub")
	if err != nil {
		t.Fatal(err)
	}
	kit.AwaitDomain(t, far)
	near := kit.JetStream(t, kit.Conn(t, leaf.URL))
	run := func(domain string) (*kit.Output, func()) {
		t.Helper()
		kit.Environment(t, map[string]string{
			"ROLLCALL_DATA_DIR": t.TempDir(), "NATS_URL": leaf.URL, "NATS_JS_DOMAIN": domain, "ROLLCALL_HTTP_ADDR": "127.0.0.1:0",
		})
		cfg, err := config.ReadServe(httpd.CheckWebConfig)
		if err != nil {
			t.Fatal(err)
		}
		log := new(kit.Output)
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- Run(ctx, *cfg, Build{Version: "test"}, slog.New(slog.NewTextHandler(log, nil))) }()
		kit.Eventually(t, func() bool { return log.Has("msg=ready") }, "the service is ready")
		return log, func() {
			t.Helper()
			cancel()
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
	names := func(js jetstream.JetStream) string {
		var all []string
		for name := range js.StreamNames(t.Context()).Name() {
			all = append(all, name)
		}
		return strings.Join(all, " ")
	}
	const three = "ROLLCALL_DEADLETTERS ROLLCALL_EVENTS ROLLCALL_REPORTS"

	log, end := run("hub")
	if names(far) != three || names(near) != "" || !log.Has(`msg="stream created" stream=ROLLCALL_EVENTS domain=hub`) {
		t.Errorf("at the hub %s, at the leaf node %s\n%s", names(far), names(near), log)
	}
	kit.PublishLogins(t, kit.JetStream(t, kit.Conn(t, hub.URL)), 1)
	kit.Eventually(t, func() bool { return reads(t, value(log, "url=")) }, "the service reads the event")
	end()

	log, end = run("")
	if names(near) != three || !log.Has(`msg="stream created" stream=ROLLCALL_EVENTS domain=edge`) {
		t.Errorf("at the leaf node %s\n%s", names(near), log)
	}
	end()
}
