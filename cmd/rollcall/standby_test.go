package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"rollcall/internal/test/kit"
)

// TestStandbyFetch: one that stood by for a service whose stream was recreated meanwhile
// differs from it; what it fetches from the active one is the remedy.
func TestStandbyFetch(t *testing.T) {
	server, js := newEventsStream(t)
	variables := []string{"NATS_URL=" + server.URL, "ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL=1s"}
	first := serve(t, t.TempDir(), variables...)
	kit.Eventually(t, func() bool { return first.metric("rollcall_active") == "1" }, "the first is active")
	dir := t.TempDir()
	second := serve(t, dir, variables...)
	kit.PublishLogins(t, js, 2)
	second.reaches(2)
	second.stop(syscall.SIGTERM)
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

	second = serve(t, dir, variables...)
	kit.Eventually(t, func() bool { return second.metric(`rollcall_standby_differs{in="lost"}`) == "1" }, "the second differs")
	cmd := exec.Command(filepath.Join(binary, "rollcall"), "standby", "fetch")
	cmd.Env = []string{"NATS_URL=" + server.URL, "ROLLCALL_DATA_DIR=" + dir}
	if out, err := cmd.CombinedOutput(); err != nil || !strings.HasPrefix(string(out), "fetched to "+dir+", up to place ") {
		t.Fatalf("standby fetch: %v, %s", err, out)
	}
	second.stop(syscall.SIGTERM)
	second = serve(t, dir, variables...)
	second.says("begins with what the active rollcall handed over", "place")
	if found, err := filepath.Glob(filepath.Join(dir, "replaced-*", "history.db")); err != nil || len(found) != 1 {
		t.Errorf("what it had: %q, %v", found, err)
	}
	want := first.tool("", "report").out
	first.stop(syscall.SIGTERM)
	kit.Eventually(t, func() bool { return second.metric("rollcall_active") == "1" }, "the second is active")
	second.wantReport(want)
	if got := second.metric(`rollcall_standby_differs{in="lost"}`); got != "0" {
		t.Errorf("it still differs: %s", got)
	}
}
