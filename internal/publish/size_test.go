package publish_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// program is a program that only publishes.
const program = `package main

import (
	"context"
	"log/slog"
	"os"

	"rollcall/internal/natsconn"
	"rollcall/internal/publish"
	"rollcall/internal/wire"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

type quiet struct{}

func (quiet) Advance(int)         {}
func (quiet) Report(string, ...any) {}

func main() {
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		panic(err)
	}
	p := publish.New(subjects, wire.NewDecoder(subjects), natsconn.Options{}.Denied)
	conn, err := natsconn.Connect(context.Background(), natsconn.Options{URL: os.Args[1]}, "publisher", slog.Default(), p.Options()...)
	if err != nil {
		panic(err)
	}
	tally, err := p.Send(context.Background(), conn, nil, quiet{})
	println(tally.String(), err)
}
`

// TestPublisherIsSmall: a program that only publishes has no NATS server in it, and is
// small enough for every machine.
func TestPublisherIsSmall(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "rollcall/internal/publish").Output()
	if err != nil {
		t.Fatal(err)
	}
	for path := range strings.FieldsSeq(string(out)) {
		if strings.Contains(path, "nats-server") || strings.Contains(path, "prometheus") {
			t.Errorf("internal/publish imports %s", path)
		}
	}
	dir := t.TempDir()
	source, binary, overlay := filepath.Join(dir, "main.go"), filepath.Join(dir, "publisher"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(source, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	// It may import internal packages only inside this folder.
	place, err := filepath.Abs("publisher/main.go")
	if err != nil {
		t.Fatal(err)
	}
	replace, err := json.Marshal(map[string]any{"Replace": map[string]string{place: source}})
	if err == nil {
		err = os.WriteFile(overlay, replace, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	build := exec.Command("go", "build", "-overlay", overlay, "-trimpath", "-ldflags", "-s -w", "-o", binary, "./publisher")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=") // the race detector needs cgo
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	const limit = 10_000_000
	if info.Size() >= limit {
		t.Errorf("the binary has %d bytes", info.Size())
	}
	t.Logf("%d bytes", info.Size())
}
