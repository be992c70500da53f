package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// connections are the series that show whether NATS is connected.
var connections = []string{`rollcall_nats_connected{connection="events"}`, `rollcall_nats_connected{connection="other"}`}

// wantMetrics waits until each series has its value; "none": it is absent.
func (p *process) wantMetrics(want map[string]string) {
	p.t.Helper()
	for series, value := range want {
		kit.Eventually(p.t, func() bool { return p.metric(series) == value }, series+" is "+value)
	}
}

// readyz returns all checks of the service.
func (p *process) readyz() string {
	p.t.Helper()
	return p.get(strings.TrimSuffix(p.metrics, "metrics") + "readyz?verbose")
}

// TestRefusedWhileRunning: a login that is refused while rollcall runs is reported with
// what to check, without the secret.
func TestRefusedWhileRunning(t *testing.T) {
	login := func(password string) func(*server.Options) {
		return func(o *server.Options) {
			o.Users = []*server.User{{Username: "agent", Password: password}}
		}
	}
	s := kit.StartServer(t, login("secret-1"))
	p := serve(t, t.TempDir(), "NATS_URL="+s.URL, "NATS_USER=agent", "NATS_PASSWORD=secret-1")
	s.Stop()
	s.Start(login("other"))
	var got string
	kit.Eventually(t, func() bool {
		got = p.readyz()
		return strings.Contains(got, ": NATS at "+s.URL+" refuses NATS_USER with NATS_PASSWORD (nats: authorization violation): correct them (ready without it)\n")
	}, "/readyz?verbose says why NATS is away")
	if strings.Contains(got, "secret-1") {
		t.Errorf("a secret is printed: %s", got)
	}
}

// TestNATSDown: while NATS is down, no unknown value is exported and no machine becomes
// silent; the service stays ready. After the reconnect there are no values before the
// stream was seen, so that no scrape shows a lag of 0 while messages wait.
func TestNATSDown(t *testing.T) {
	kit.Long(t)
	server, js := newEventsStream(t)
	p := serve(t, t.TempDir(), "NATS_URL="+server.URL, "ROLLCALL_SILENT_AFTER=2s")
	kit.PublishLogins(t, js, 1)
	p.reaches(1)
	there := map[string]string{
		connections[0]: "1", connections[1]: "1", "rollcall_lag_messages": "0", "rollcall_caught_up": "1",
		"rollcall_complete": "1", `rollcall_incomplete{reason="stale"}`: "0",
	}
	p.wantMetrics(there)

	server.Stop()
	p.wantMetrics(map[string]string{
		connections[0]: "0", connections[1]: "0", "rollcall_lag_messages": "none", "rollcall_caught_up": "0",
		"rollcall_complete": "0", `rollcall_incomplete{reason="stale"}`: "1", `rollcall_incomplete{reason="replaying"}`: "0",
		"rollcall_reports_failing": "1",
	})
	for _, line := range []string{
		"[+] caught up: caught up earlier, so still ready; the present lag is unknown (rollcall_caught_up is 0): the state of the stream of events is unknown\n",
		"[-] nats: RECONNECTING: events since ", "[-] reports: failing since ", "readyz check passed\n",
	} {
		if got := p.readyz(); !strings.Contains(got, line) {
			t.Errorf("/readyz?verbose lacks %q:\n%s", line, got)
		}
	}

	const n = 500
	server.Start()
	kit.PublishLogins(t, js, n-1)
	kit.Eventually(t, func() bool {
		lag := p.metric("rollcall_lag_messages")
		if position := p.metric("rollcall_position"); lag == "0" && position != fmt.Sprint(n) {
			t.Errorf("at place %s of %d the lag is 0", position, n)
		}
		return lag == "0"
	}, "the lag is known again")
	there["rollcall_reports_failing"] = "0"
	p.wantMetrics(there)

	// A report failed every 50 ms, but the log is throttled.
	if said := p.log.Count("report not published"); said == 0 || said > 10 {
		t.Errorf("%d log lines about failed reports", said)
	}
}

// TestNotSilentDuringOutage: a machine that was heard until NATS went down is not silent,
// however long the outage lasts.
func TestNotSilentDuringOutage(t *testing.T) {
	kit.Long(t)
	server, js := newEventsStream(t)
	p := serve(t, t.TempDir(), "NATS_URL="+server.URL, "ROLLCALL_SILENT_AFTER=5s")
	ctx, stop := context.WithCancel(t.Context())
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		keepLoggingIn(ctx, js)
	}()
	p.wantMetrics(map[string]string{"rollcall_machines": "1"})
	server.Stop()
	stop()
	<-heard
	p.wantMetrics(map[string]string{connections[0]: "0"})
	// A report is attempted every 50 ms: this many take more than five seconds.
	kit.Eventually(t, func() bool {
		var failed int
		_, err := fmt.Sscan(p.metric(`rollcall_reports_total{result="failed"}`), &failed)
		return err == nil && failed > 150
	}, "a while has passed")
	if silent := p.metric("rollcall_machines_silent"); silent != "0" {
		t.Errorf("%s machines are silent:\n%s", silent, p.readyz())
	}
}

// keepLoggingIn publishes logins on one machine until the context ends. While NATS is
// down, they are lost.
func keepLoggingIn(ctx context.Context, js jetstream.JetStream) {
	for ctx.Err() == nil {
		_, _ = js.Publish(ctx, "rollcall.events", kit.LoginNow(0))
		select {
		case <-ctx.Done():
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestDeletedOthers: the streams of reports and of dead letters that somebody
// deletes are recreated while the service runs.
func TestDeletedOthers(t *testing.T) {
	kit.Long(t)
	server, js := newEventsStream(t)
	p := serve(t, t.TempDir(), "NATS_URL="+server.URL)
	for _, name := range []string{"ROLLCALL_REPORTS", "ROLLCALL_DEADLETTERS"} {
		if err := js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	p.wantMetrics(map[string]string{
		`rollcall_streams_made_total{stream="` + natsconn.RoleReports + `"}`:     "1",
		`rollcall_streams_made_total{stream="` + natsconn.RoleDeadLetters + `"}`: "1",
	})
	for _, line := range []string{"[-] reports: the stream was deleted, and recreated at ", "[-] dead letters: the stream was deleted, and recreated at "} {
		if got := p.readyz(); !strings.Contains(got, line) {
			t.Errorf("/readyz?verbose lacks %q:\n%s", line, got)
		}
	}
	kit.PublishLogins(t, js, 1)
	if _, err := js.Publish(t.Context(), "rollcall.events", []byte("no event")); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		for _, name := range []string{"ROLLCALL_REPORTS", "ROLLCALL_DEADLETTERS"} {
			stream, err := js.Stream(t.Context(), name)
			if err != nil || stream.CachedInfo().State.Msgs == 0 {
				return false
			}
		}
		return true
	}, "both take messages again")
}
