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

// scenario is something that happens to a world and what the service must make
// of it.
type scenario struct {
	name string
	run  func(*world)
}

// play runs scenarios, each in a world of its own.
func play(t *testing.T, scenarios []scenario) {
	var all []func()
	for _, s := range scenarios {
		all = append(all, func() { t.Run(s.name, func(t *testing.T) { s.run(newWorld(t)) }) })
	}
	beside(all...)
}

// beside runs tests beside each other that mostly wait: more of them than
// t.Parallel would, which goes by the processors.
func beside(tests ...func()) {
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

// The lines of the log that tell of losses.
const (
	another = "stream was recreated or restored: unread events of the old one are lost"
	lost    = "events are lost"
)

// soon is how long a running service may take to notice what was done to the
// stream.
const soon = 10 * time.Second

// noticed waits for the next line with a message, which must come soon.
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

// says checks values of a line of the log.
func says(t *testing.T, line map[string]any, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if fmt.Sprint(line[key]) != fmt.Sprint(value) {
			t.Errorf("%q says %s=%v, want %v", line["msg"], key, line[key], value)
		}
	}
}

// recreate deletes the stream of events and makes it anew.
func (w *world) recreate() {
	w.t.Helper()
	w.delete()
	w.create()
}

// files is the folder in which the server stores the stream of events.
func (w *world) files() string {
	return filepath.Join(w.Dir, "jetstream", "$G", "streams", w.streams.Events)
}

// copy copies the files of the stream; the server is stopped for it.
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

// restore puts a copy in the place of the stream's files.
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
