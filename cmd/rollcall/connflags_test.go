package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/test/kit"
)

// TestConnFlags: --server and --context lead every command to their server, whatever the
// environment says; wrong ones are refused before anything is asked.
func TestConnFlags(t *testing.T) {
	s := kit.StartServer(t, users(nil))
	eventsStream(t, s.URL, jetstream.StreamConfig{}, nats.UserInfo("admin", "admin"))
	kit.Environment(t, map[string]string{"NATS_URL": "nats://127.0.0.1:1", "NATS_USER": "agent", "NATS_PASSWORD": "wrong"})
	folder := filepath.Join(t.TempDir(), "nats", "context")
	t.Setenv("XDG_CONFIG_HOME", filepath.Dir(filepath.Dir(folder)))
	if err := os.MkdirAll(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"dev":  `{"description": "", "url": "` + s.URL + `", "user": "agent", "password": "agent", "tls_first": false}`,
		"away": `{"url": "nats://127.0.0.1:2", "creds": ""}`,
		"old":  `{"url": "nats://127.0.0.1:2", "socks_proxy": "socks5://hunter2@a"}`,
	} {
		if err := os.WriteFile(filepath.Join(folder, name+".json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range []string{
		"report", "report --expected /dev/null", "who web1", "where lane", "history", "watch", "deadletters", "status", "streams", "publish --boot --machine m",
	} {
		for flags, want := range map[string]string{
			"":                       "no server is listening there: start it, or correct NATS_URL",
			"--context away":         `no server is listening there: start it, or correct "url" of the context "away"`,
			"--context dev -s %":     "", // the server is there
			"--context old":          `"socks_proxy" of the context "old": is not supported by rollcall`,
			"--context=":             "--context: is empty: leave the flag out, or give the name of a context",
			"--server=":              "--server: is empty: leave the flag out, or give a URL such as",
			"--server mailto:a":      "is not the URL of a NATS server",
			"--creds /none":          `--creds: "/none" cannot be opened (no such file or directory): give the path of a readable file`,
			"--creds --server %":     "--creds: give a credentials file",
			"-s %":                   "refuses NATS_USER with NATS_PASSWORD",
			"-s nats://lane:hunter2": "is not the URL of a NATS server",
		} {
			if strings.Contains(command, "/dev/null") || command == "watch" && want == "" {
				continue // asks nothing; never ends
			}
			args := strings.Fields(command + " " + strings.ReplaceAll(flags, "%", s.URL))
			got := rollcall(t.Context(), nil, args...)
			there := !strings.Contains(got.err, "no server is listening") && !strings.Contains(got.err, "refuses")
			if want == "" && !there || want != "" && got.code == exitDone || !strings.Contains(got.err, want) || strings.Contains(got.err, "hunter2") {
				t.Errorf("%v: %+v; want %s", args, got, want)
			}
		}
	}
	t.Setenv("NATS_CONTEXT", "dev")
	rollcall(t.Context(), nil, "publish", "--boot", "--machine", "m").check(t, exitDone, "1 stored\n", "")
}

// TestContextOfTheTool: what "nats context save" writes is read, and no field of it is
// unknown.
func TestContextOfTheTool(t *testing.T) {
	kit.Long(t)
	s := kit.StartServer(t, users(&server.Permissions{
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_agent.>"}},
	}))
	eventsStream(t, s.URL, jetstream.StreamConfig{}, nats.UserInfo("admin", "admin"))
	kit.Environment(t, nil)
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	save := exec.Command("go", "tool", "-modfile=internal/test/tools/go.mod", "nats", "context", "save", "dev",
		"--server", s.URL, "--user", "agent", "--password", "agent", "--inbox-prefix", "_INBOX_agent", "--description", "a test")
	save.Dir = "../.."
	if out, err := save.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	rollcall(t.Context(), nil, "publish", "--boot", "--machine", "m", "--context", "dev").check(t, exitDone, "1 stored\n", "")
}
