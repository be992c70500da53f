package faults

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// TestStandbyDomain: two services that are connected to a leaf node stand by for each other
// with the streams of the hub. The lease, and what is handed over to the one that is empty,
// are there too, and nothing is at the leaf node. When the first is killed, report, history and
// completeness are those of before, though the stream has lost its beginning.
func TestStandbyDomain(t *testing.T) {
	t.Parallel()
	leaf := kit.StartLeaf(t, kit.StartHub(t).LeafURL(), "edge")
	near := kit.JetStream(t, kit.Conn(t, leaf.URL))
	far, err := natsconn.Domain("hub").JetStream(kit.Conn(t, leaf.URL))
	if err != nil {
		t.Fatal(err)
	}
	kit.AwaitDomain(t, far)
	variables := []string{"NATS_JS_DOMAIN=hub", "ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL=1s"}
	first := serve(t, t.TempDir(), leaf.URL, variables...)
	first.awaitLog("this rollcall answers and publishes", "place")
	kit.PublishLogins(t, far, 20)
	first.awaitPlace(20)
	keepLast(t, far)
	want := first.report(leaf.URL)
	history, complete := ask(t, leaf.URL, "history", "--utc"), completeness(t, leaf.URL)
	if strings.Count(history, "lane") != 20 || complete != "complete yes" {
		t.Errorf("the first has %q and the history\n%s", complete, history)
	}

	second := serve(t, t.TempDir(), leaf.URL, variables...)
	second.awaitLog("begins with what the active rollcall handed over", "place")
	second.awaitPlace(20)
	fetch := exec.Command(rollcall(t), "standby", "fetch")
	fetch.Env = kit.Only("NATS_URL="+leaf.URL, "NATS_JS_DOMAIN=hub", "ROLLCALL_DATA_DIR="+t.TempDir())
	if out, err := fetch.CombinedOutput(); err != nil || !strings.Contains(string(out), "up to place 20: restart the service") {
		t.Errorf("standby fetch: %v, %s", err, out)
	}
	first.end(syscall.SIGKILL)
	second.awaitLog("this rollcall answers and publishes", "place")
	if got := second.report(leaf.URL); got != want {
		t.Errorf("the second reports\n%s\nthe first reported\n%s", got, want)
	}
	if got := ask(t, leaf.URL, "history", "--utc"); got != history {
		t.Errorf("the second has the history\n%s\nthe first had\n%s", got, history)
	}
	if got := completeness(t, leaf.URL); got != complete {
		t.Errorf("the second says %q, the first said %q", got, complete)
	}
	const all = "KV_ROLLCALL_LEASE OBJ_ROLLCALL_HANDOVER ROLLCALL_DEADLETTERS ROLLCALL_EVENTS ROLLCALL_REPORTS"
	if atHub, atLeaf := streamNames(t, far), streamNames(t, near); atHub != all || atLeaf != "" {
		t.Errorf("at the hub %s, at the leaf node %s", atHub, atLeaf)
	}
}

// ask returns what the tool prints.
func ask(t *testing.T, url string, args ...string) string {
	t.Helper()
	cmd := exec.Command(rollcall(t), args...)
	cmd.Env = kit.Only("NATS_URL=" + url)
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("rollcall %s: %v", strings.Join(args, " "), err)
	}
	return string(out)
}

// completeness returns what the status says of it.
func completeness(t *testing.T, url string) string {
	t.Helper()
	for line := range strings.Lines(ask(t, url, "status")) {
		if strings.HasPrefix(line, "complete") {
			return strings.Join(strings.Fields(line), " ")
		}
	}
	return ""
}

// keepLast makes the stream of events lose all messages but the last.
func keepLast(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	events, err := js.Stream(t.Context(), "ROLLCALL_EVENTS")
	if err != nil {
		t.Fatal(err)
	}
	config := events.CachedInfo().Config
	config.MaxMsgs = 1
	if _, err := js.UpdateStream(t.Context(), config); err != nil {
		t.Fatal(err)
	}
}

// streamNames returns the names of all streams, in their order.
func streamNames(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var all []string
	names := js.StreamNames(t.Context())
	for name := range names.Name() {
		all = append(all, name)
	}
	if err := names.Err(); err != nil {
		t.Error(err)
	}
	return strings.Join(all, " ")
}
