package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// TestStandbyFetch: one that stood by for a service whose stream was recreated meanwhile
// differs from it; what it fetches from the active one is the remedy.
func TestStandbyFetch(t *testing.T) {
	for in, interval := range map[string]string{
		"lost":   "1s", // it learns from reports how far the other one has read
		"offset": "1h", // it does not
	} {
		t.Run(in, func(t *testing.T) {
			t.Parallel()
			server, js := newEventsStream(t)
			dir, variables := t.TempDir(), []string{"NATS_URL=" + server.URL, "ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL=1s", "ROLLCALL_REPORT_INTERVAL=" + interval}
			first := serve(t, t.TempDir(), variables...)
			kit.Eventually(t, func() bool { return first.metric("rollcall_active") == "1" }, "the first is active")
			second := serve(t, dir, variables...)
			kit.PublishLogins(t, js, 2)
			second.reaches(2)
			second.stop(syscall.SIGTERM)
			recreate(t, js, first)

			second = serve(t, dir, variables...)
			kit.Eventually(t, func() bool { return second.metric(`rollcall_standby_differs{in="`+in+`"}`) == "1" }, "the second differs")
			if out := first.tool("", "status", "--all").out; !strings.Contains(out, "differs: "+in+": ") {
				t.Errorf("status --all: %s", out)
			}
			cmd := exec.Command(filepath.Join(binary, "rollcall"), "standby", "fetch")
			cmd.Env = kit.Only("NATS_URL="+server.URL, "ROLLCALL_DATA_DIR="+dir)
			if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "fetched to "+dir+", up to place ") {
				t.Fatalf("standby fetch: %v, %s", err, out)
			}
			second.stop(syscall.SIGTERM)
			second = serve(t, dir, variables...)
			second.says("begins with what the active rollcall handed over", "place")
			if found, err := filepath.Glob(filepath.Join(dir, "replaced-*", "history.db")); err != nil || len(found) != 1 {
				t.Errorf("what it had: %q, %v", found, err)
			}
			wantReport, wantHistory, wantLease := first.tool("", "report").out, first.tool("", "history", "--user", "lane").out, leaseState(t, js)
			first.stop(syscall.SIGTERM)
			kit.Eventually(t, func() bool { return second.metric("rollcall_active") == "1" }, "the second is active")
			second.wantReport(wantReport)
			if got := second.tool("", "history", "--user", "lane").out; got != wantHistory || strings.Count(got, "lane") < 3 {
				t.Errorf("the history is\n%s\nwas\n%s", got, wantHistory)
			}
			kit.Eventually(t, func() bool { return leaseState(t, js) == wantLease }, "it does not differ any more")
		})
	}
}

// recreate publishes three events that only the first service reads, and has it recreate the
// stream, with one event.
func recreate(t *testing.T, js jetstream.JetStream, first *process) {
	t.Helper()
	kit.PublishLogins(t, js, 3)
	first.reaches(5)
	if err := js.DeleteStream(t.Context(), "ROLLCALL_EVENTS"); err != nil {
		t.Fatal(err)
	}
	kit.Eventually(t, func() bool {
		_, err := js.Publish(t.Context(), "rollcall.events", kit.LoginNow(7))
		return err == nil
	}, "the first has recreated the stream")
	kit.Eventually(t, func() bool { return first.tool("", "who", "m7").code == 0 }, "the first has read on")
}

// leaseState returns what the active service says of itself, for others to compare.
func leaseState(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	bucket, err := js.KeyValue(t.Context(), "ROLLCALL_LEASE")
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bucket.Get(t.Context(), "rollcall.active")
	if err != nil {
		t.Fatal(err)
	}
	var value struct {
		State json.RawMessage `json:"state"`
	}
	if err := json.Unmarshal(entry.Value(), &value); err != nil {
		t.Fatal(err)
	}
	return string(value.State)
}
