package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// scenario is a fault in a world, and the checks of how the service handles it.
type scenario struct {
	name string
	run  func(*world)
}

// play runs each scenario in a new world.
func play(t *testing.T, scenarios []scenario) {
	var all []func()
	for _, s := range scenarios {
		all = append(all, func() { t.Run(s.name, func(t *testing.T) { s.run(newWorld(t)) }) })
	}
	concurrently(all...)
}

// concurrently runs up to 12 tests at a time. They mostly wait, so that is more than
// t.Parallel runs, which goes by GOMAXPROCS.
func concurrently(tests ...func()) {
	var running sync.WaitGroup
	slots := make(chan struct{}, 12)
	for _, test := range tests {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			test()
		})
	}
	running.Wait()
}

// The log messages about losses.
const (
	anotherIncarnation = "stream was recreated or restored: unread events of the old one are lost"
	lost               = "events are lost"
)

// soon is how long a running service may take to notice what was done to the
// stream.
const soon = 10 * time.Second

// noticed waits for the nth line with a message, which must be logged soon.
func (w *world) noticed(message string, n int) map[string]any {
	w.t.Helper()
	began := time.Now()
	line := w.log.await(message, n)
	took := time.Since(began)
	w.t.Logf("noticed after %v", took.Round(time.Millisecond))
	if took > soon {
		w.t.Errorf("it took %v to notice, want at most %v", took, soon)
	}
	return line
}

// wantAttrs checks some attributes of a log line.
func wantAttrs(t *testing.T, line map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(line[key]) != fmt.Sprint(value) {
			t.Errorf("%q has %s=%v, want %v", line["msg"], key, line[key], value)
		}
	}
}

// recreate deletes the stream of events and creates it again.
func (w *world) recreate() {
	w.t.Helper()
	w.delete()
	w.create()
}

// files is the folder in which the server stores the stream of events.
func (w *world) files() string {
	return filepath.Join(w.Dir, "jetstream", "$G", "streams", w.streams.Events)
}

// copy stops the server, copies the files of the stream and returns their folder.
func (w *world) copy() string {
	w.t.Helper()
	w.Stop()
	defer w.Start()
	to := filepath.Join(w.t.TempDir(), "copy")
	if err := os.CopyFS(to, os.DirFS(w.files())); err != nil {
		w.t.Fatal(err)
	}
	return to
}

// restore replaces the files of the stream by a copy.
func (w *world) restore(from string) {
	w.t.Helper()
	w.Stop()
	if err := os.RemoveAll(w.files()); err != nil {
		w.t.Fatal(err)
	}
	if err := os.CopyFS(w.files(), os.DirFS(from)); err != nil {
		w.t.Fatal(err)
	}
	w.Start()
}

// purge removes the messages before a sequence.
func (w *world) purge(before uint64) {
	w.t.Helper()
	if err := w.stream().Purge(w.t.Context(), jetstream.WithPurgeSequence(before)); err != nil {
		w.t.Fatal(err)
	}
}
