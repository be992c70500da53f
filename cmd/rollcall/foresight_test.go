package main

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// TestForesight: publish does not send what the service would refuse; without a service
// it says what it does not know, where that may matter.
func TestForesight(t *testing.T) {
	p := serve(t, t.TempDir(), "ROLLCALL_MAX_SESSIONS_PER_MACHINE=1", "ROLLCALL_ALLOWED_LATENESS=48h")
	publish := func(stdin, flags string, code int, out, err string) {
		t.Helper()
		args := append([]string{"publish"}, strings.Split(flags, "|")...)
		if flags == "" {
			args = args[:1]
		}
		if got := p.tool(stdin, args...); got.code != code || got.out != out || !strings.Contains(got.err, err) || (err == "") != (got.err == "") {
			t.Errorf("%s: %+v; want %d, %s, %s", flags, got, code, out, err)
		}
	}
	publish("", "--login|lane|--machine|web1|--date|-1h", exitDone, "1 stored\n", "")
	p.reaches(1)
	publish("", "--login|lane|--machine|web1", exitDone, "1 stored\n", "")
	publish("", "--login|lane|--machine|web1|--date|2199-01-01 00:00", exitFailed, "0 stored, 1 refused\n", "event:1: future: date 2199-01-01T00:00:00Z is more than 10m0s after the clock of the service, 20")
	publish("", "--login|lane|--machine|web1|--date|-3d", exitFailed, "0 stored, 1 refused\n", "event:1: late: date ")
	publish("", "--login|chris|--machine|web1", exitFailed, "0 stored, 1 refused\n", "event:1: limit: the roster is full: 1 sessions on this machine: raise ROLLCALL_MAX_SESSIONS_PER_MACHINE of the service")
	publish("", "--logout|lane|--machine|web1", exitDone, "1 stored\n", "")
	publish(strings.ReplaceAll(boots("web2", "web3"), "2026-11-22", "2199-11-22")+boots("web2"), "", exitFailed, "1 stored, 2 refused\n", "stdin:2: future: date 2199-11-22T21:00:00Z is more than 10m0s after the clock of the service")

	s := kit.StartServer(t)
	eventsStream(t, s.URL, jetstream.StreamConfig{})
	p.nats = s.URL // without a service
	const unknown = `events of which it is not known whether the service accepts their dates: 1 (no rollcall answers on rollcall.query.status: `
	ahead := time.Now().UTC().Add(24 * time.Hour).Format(time.RFC3339)
	publish("", "--boot|--machine|web1", exitDone, "1 stored\n", "")
	publish("", "--boot|--machine|web1|--date|-3d", exitDone, "1 stored\n", unknown)
	publish("", "--boot|--machine|web1|--date|"+ahead, exitDone, "1 stored\n", unknown)
	publish(boots("web1", "web2"), "", exitDone, "2 stored\n", "")
	publish(strings.ReplaceAll(boots("web1"), "2026-11-22T21:00:00Z", ahead), "", exitDone, "1 stored\n", unknown)
}
