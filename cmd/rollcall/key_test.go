package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/natsconn"
	"rollcall/internal/test/kit"
)

// TestCommandsWithAndWithoutKey: each command works with the embedded server, with the key
// of the data folder, without it, with that of another server and with an invalid one;
// only the key may delete a stream.
func TestCommandsWithAndWithoutKey(t *testing.T) {
	p := serve(t, t.TempDir())
	p.tool(strings.Join(eventsOf(t, seedFile), "\n"), "publish")
	if err := kit.Conn(t, p.nats).Publish("rollcall.events", []byte("{")); err != nil {
		t.Fatal(err)
	}
	p.reaches(7)
	js := kit.JetStream(t, p.connect())
	kit.Eventually(t, func() bool {
		_, err := getLetter(t, js, 7)
		return err == nil
	}, "the dead letter is stored")
	other, broken := t.TempDir(), t.TempDir()
	for folder, content := range map[string]string{other: "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY", broken: "x"} {
		if err := os.MkdirAll(filepath.Join(folder, "nats"), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(natsconn.KeyFile(filepath.Join(folder, "nats")), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for whose, dir := range map[string]string{"its": p.dir, "no": t.TempDir(), "another's": other, "broken": broken} {
		for command, want := range map[string]string{
			"report": "webserver.local: lane", "who webserver.local": "lane", "where lane": "webserver.local", "history --user lane": "open",
			"status": "ROLLCALL_EVENTS", "deadletters": "malformed", "publish --login ada --machine " + strings.ReplaceAll(whose, "'", ""): "1 stored",
		} {
			cmd := exec.Command(filepath.Join(binary, "rollcall"), strings.Fields(command)...)
			cmd.Env = kit.Only("ROLLCALL_DATA_DIR="+dir, "ROLLCALL_EMBEDDED_ADDR="+strings.TrimPrefix(p.nats, "nats://"))
			var out bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &out
			if err := cmd.Run(); err != nil || !strings.Contains(out.String(), want) {
				t.Errorf("%s key: %s: %v: %s", whose, command, err, out.String())
			}
		}
	}
	if err := kit.JetStream(t, kit.Conn(t, p.nats)).DeleteStream(t.Context(), "ROLLCALL_REPORTS"); err == nil {
		t.Error("without the key a stream is deleted")
	}
	if err := js.DeleteStream(t.Context(), "ROLLCALL_REPORTS"); err != nil {
		t.Errorf("with the key: %v", err)
	}
}
