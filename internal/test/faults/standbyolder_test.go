package faults

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// newerRollcall builds a rollcall whose snapshots have a newer format.
func newerRollcall(t *testing.T) string {
	t.Helper()
	source, err := filepath.Abs("../../roster/codec_encode.go")
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(source)
	if err != nil {
		t.Fatal(err)
	}
	const version = "const EncodingVersion = "
	if strings.Count(string(text), version) != 1 {
		t.Fatalf("%s lacks %q", source, version)
	}
	dir := t.TempDir()
	changed, overlay, program := filepath.Join(dir, "codec_encode.go"), filepath.Join(dir, "overlay.json"), filepath.Join(dir, "rollcall")
	list, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		t.Fatal(err)
	}
	for path, content := range map[string]string{changed: strings.Replace(string(text), version, version+"1 + ", 1), overlay: string(list)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := exec.Command("go", "build", "-overlay", overlay, "-o", program, "rollcall/cmd/rollcall").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return program
}

// TestStandbyOlder: an empty service that stands by for one of a newer version, whose
// snapshots it cannot read, waits and says so. Upgraded, it begins with them.
func TestStandbyOlder(t *testing.T) {
	kit.Long(t)
	t.Parallel()
	newer, url := newerRollcall(t), kit.StartServer(t).URL
	js := kit.JetStream(t, kit.Conn(t, url))
	address, dir := kit.FreeAddress(t), t.TempDir()
	variables := []string{"ROLLCALL_STANDBY=true", "ROLLCALL_STANDBY_TTL=1s"}
	active := serveAs(t, newer, t.TempDir(), url, variables...)
	active.awaitLog("this rollcall answers and publishes", "place")
	kit.PublishLogins(t, js, 20)
	active.awaitPlace(20)
	keepLast(t, js)
	want := active.report(url)

	older := serve(t, dir, url, append(variables, "ROLLCALL_HTTP_ADDR="+address)...)
	waits := func() bool {
		response, err := http.Get("http://" + address + "/readyz?verbose")
		if err != nil {
			return false
		}
		defer http.DefaultClient.CloseIdleConnections()
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		return err == nil && response.StatusCode == http.StatusServiceUnavailable &&
			strings.Contains(string(body), "the data folder is empty: waiting for what the active rollcall knows: ") &&
			strings.Contains(string(body), "newer format: ") && strings.Contains(string(body), ": upgrade it")
	}
	kit.Eventually(t, waits, "it says for what it waits")
	older.awaitLog("the data folder is empty, and what the active rollcall knows cannot be fetched: it is tried again", "err")
	<-time.After(4 * time.Second) // longer than it would wait for somebody who is active
	if !waits() || strings.Contains(streamNames(t, js), "OBJ_") {
		t.Errorf("it does not wait, or something was made for it: %s", streamNames(t, js))
	}
	begun := time.Now()
	if state := older.end(syscall.SIGTERM); !state.Success() || time.Since(begun) > endsWithin {
		t.Errorf("it ends after %v with %v", time.Since(begun), state)
	}

	upgraded := serveAs(t, newer, dir, url, variables...)
	upgraded.awaitLog("begins with what the active rollcall handed over", "place")
	upgraded.awaitPlace(20)
	active.end(syscall.SIGKILL)
	upgraded.awaitLog("this rollcall answers and publishes", "place")
	if got := upgraded.report(url); got != want {
		t.Errorf("it reports\n%s\nwant\n%s", got, want)
	}
}
