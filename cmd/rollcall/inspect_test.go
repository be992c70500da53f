package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"rollcall/internal/roster"
	"rollcall/internal/snapshot"
)

// TestInspectHostile: text in a snapshot cannot control a terminal.
func TestInspectHostile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "hostile")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := roster.New(roster.DefaultSettings())
	r.Fold(&roster.Batch{End: roster.Position{Proof: roster.Proof{Stream: "E\x1b]0;x\a"}}})
	encoding := r.Encode()
	defer encoding.Close()
	if _, err := snapshot.Write(f, encoding, snapshot.Header{Version: "1\x1b[2J"}); err != nil {
		t.Fatal(err)
	}
	got := rollcall(t.Context(), nil, "snapshot", "inspect", path)
	if got.code != exitDone || strings.ContainsAny(got.out, "\x1b\a") {
		t.Errorf("exit code %d, output %q", got.code, got.out)
	}
	for _, want := range []string{`"1\x1b[2J"`, `"E\x1b]0;x\a"`} {
		if !strings.Contains(got.out, want) {
			t.Errorf("output %q, want %s in it", got.out, want)
		}
	}
}
