package main

import (
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"rollcall/internal/test/kit"
)

// TestWaitsAtTheStart: a NATS server that refuses the login, or has no JetStream,
// does not end the start. The log, /readyz and the status for systemd say why, and
// once it is corrected the service becomes ready.
func TestWaitsAtTheStart(t *testing.T) {
	kit.Long(t)
	for name, c := range map[string]struct {
		before, after func(*server.Options)
		says          string
	}{
		"refused":      {kit.WithPassword("other", "right"), kit.WithPassword("rollcall", "s3cret"), "NATS_USER with NATS_PASSWORD"},
		"no JetStream": {notYet, withJetStream, "has no JetStream: enable it"},
	} {
		t.Run(name, func(t *testing.T) {
			server := kit.StartServer(t, c.before)
			m, web := kit.UnderSystemd(t, 0), kit.FreeAddress(t)
			p := begin(t, t.TempDir(), "NATS_URL="+server.URL, "NATS_USER=rollcall", "NATS_PASSWORD=s3cret",
				"ROLLCALL_HTTP_ADDR="+web, "NOTIFY_SOCKET="+m.Path())
			m.Await(c.says)
			if ready := p.get("http://" + web + "/readyz"); !strings.Contains(ready, c.says) || !strings.HasSuffix(ready, "readyz check failed\n") {
				t.Errorf("/readyz says %s", ready)
			}
			m.Await("READY=1") // what waits for the unit is not held up
			server.Stop()
			server.Start(c.after)
			p.says("ready", "place")
			if code := p.stop(syscall.SIGTERM); code != exitDone {
				t.Errorf("exit code %d", code)
			}
			said := p.log.String()
			if !strings.Contains(said, `"level":"ERROR"`) || !strings.Contains(said, c.says) || strings.Contains(said, "s3cret") {
				t.Errorf("the log says %s", said)
			}
		})
	}
}

func notYet(o *server.Options) {
	kit.WithoutJetStream(o)
	kit.WithPassword("rollcall", "s3cret")(o)
}

func withJetStream(o *server.Options) { o.JetStream = true }

// TestEndsWhileWaiting: SIGTERM ends a start that waits for NATS.
func TestEndsWhileWaiting(t *testing.T) {
	server := kit.StartServer(t, kit.WithoutJetStream)
	p := begin(t, t.TempDir(), "NATS_URL="+server.URL)
	p.says("JetStream is not available yet, retrying", "err")
	if code := p.stop(syscall.SIGTERM); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
