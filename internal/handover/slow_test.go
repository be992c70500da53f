package handover

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"rollcall/internal/snapshot"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// shorten shortens a time until the test ends.
func shorten(t *testing.T, d *time.Duration, to time.Duration) {
	t.Helper()
	before := *d
	*d = to
	t.Cleanup(func() { *d = before })
}

// apart returns a function that opens JetStream over a new connection.
func apart(t *testing.T, url string) func(context.Context) (jetstream.JetStream, error) {
	return func(context.Context) (jetstream.JetStream, error) { return jetstream.New(kit.Conn(t, url)) }
}

// world is a server, and a client of it.
func world(t *testing.T) (nc *nats.Conn, js jetstream.JetStream, subjects rollcallv1.Subjects) {
	t.Helper()
	nc = kit.Conn(t, kit.StartServer(t).URL)
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	return nc, kit.JetStream(t, nc), subjects
}

// TestSlow: who asks waits for as long as it is told that the hand-over is being made, also
// when it is being made for another one first; and not much longer.
func TestSlow(t *testing.T) {
	shorten(t, &sayEvery, 10*time.Millisecond)
	shorten(t, &silentFor, 200*time.Millisecond)
	nc, _, subjects := world(t)
	var making atomic.Int32
	giver := &Giver{Conn: nc, Open: apart(t, nc.ConnectedUrl()), Subjects: subjects, Log: slog.New(slog.DiscardHandler), Make: func(context.Context) (*Files, error) {
		if making.Add(1) > 1 {
			t.Error("two are made at a time")
		}
		defer making.Add(-1)
		time.Sleep(2 * silentFor)
		return nil, nil
	}}
	runs(t, nc, giver)
	asked := make(chan error, 2)
	for range cap(asked) {
		go func() {
			_, err := ask(t.Context(), nc, subject(subjects))
			asked <- err
		}()
	}
	for range cap(asked) {
		if err := <-asked; !errors.Is(err, ErrNothing) {
			t.Error(err)
		}
	}

	if _, err := nc.Subscribe("dies", func(m *nats.Msg) { m.Respond([]byte(`{"making":true}`)) }); err != nil { //nolint:errcheck // the test fails then
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), nc, "dies"); !errors.Is(err, errSilent) {
		t.Errorf("of one that was killed: %v", err)
	}
}

// TestNewerFormat: what who asks could not read is not made; it is told.
func TestNewerFormat(t *testing.T) {
	nc, _, subjects := world(t)
	giver := &Giver{Conn: nc, Open: apart(t, nc.ConnectedUrl()), Subjects: subjects, Version: "v9", Log: kit.Logger(t), Make: func(context.Context) (*Files, error) {
		t.Error("it is made")
		return nil, nil
	}}
	runs(t, nc, giver)
	older, err := json.Marshal(request{ID: "x", Format: snapshot.Format - 1})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := nc.Request(subject(subjects), older, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	var m Manifest
	if err := json.Unmarshal(answer.Data, &m); err != nil || m != (Manifest{Version: "v9", Format: snapshot.Format}) {
		t.Errorf("%s, %v", answer.Data, err)
	}
	newer, err := json.Marshal(Manifest{Version: "v10", Format: snapshot.Format + 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe("newer", func(m *nats.Msg) { m.Respond(newer) }); err != nil { //nolint:errcheck // the test fails then
		t.Fatal(err)
	}
	if _, err := ask(t.Context(), nc, "newer"); !errors.Is(err, snapshot.ErrNewer) || !strings.Contains(err.Error(), "of version v10") {
		t.Errorf("of a newer one: %v", err)
	}
}

// TestStalledDownload: a download from which nothing comes any more ends when its context
// does, and by itself.
func TestStalledDownload(t *testing.T) {
	shorten(t, &stalledFor, 2*time.Second)
	_, js, _ := world(t)
	store, err := open(t.Context(), js, 1)
	if err == nil {
		_, err = store.PutBytes(t.Context(), "x", make([]byte, 1000))
	}
	if err != nil {
		t.Fatal(err)
	}
	stream, err := js.Stream(t.Context(), "OBJ_"+Bucket)
	if err == nil {
		err = stream.Purge(t.Context(), jetstream.WithPurgeSubject("$O."+Bucket+".C.>"))
	}
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	fetch := func(ctx context.Context) {
		go func() { ended <- download(ctx, store, "x", filepath.Join(t.TempDir(), "x")) }()
	}
	fetch(t.Context())
	if err := <-ended; err == nil || !strings.Contains(err.Error(), "nothing was received for 2s") {
		t.Errorf("it ends with %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	begun := time.Now()
	fetch(ctx)
	select {
	case err := <-ended:
		if err == nil || time.Since(begun) > stalledFor {
			t.Errorf("it ends with %v after %v", err, time.Since(begun))
		}
	case <-time.After(time.Minute):
		t.Fatal("it does not end")
	}
}

// TestNothingIsLeft: what was handed over is deleted, also when it was not received.
func TestNothingIsLeft(t *testing.T) {
	nc, js, subjects := world(t)
	damaged := filepath.Join(t.TempDir(), "damaged")
	write(t, "no snapshot", damaged)
	giver := &Giver{Conn: nc, Open: apart(t, nc.ConnectedUrl()), Subjects: subjects, Log: kit.Logger(t), Make: func(context.Context) (*Files, error) {
		f := &Files{Remove: func() {}}
		var errs [2]error
		f.Snapshot, errs[0] = os.Open(damaged)
		f.History, errs[1] = os.Open(damaged)
		return f, errors.Join(errs[:]...)
	}}
	runs(t, nc, giver)
	if _, err := Fetch(t.Context(), nc, js, subjects, t.TempDir()); err == nil || !strings.Contains(err.Error(), "the snapshot of the active rollcall") {
		t.Errorf("%v", err)
	}
	store, err := open(t.Context(), js, 1)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := store.List(t.Context()); !errors.Is(err, jetstream.ErrNoObjectsFound) {
		t.Errorf("left: %v, %v", left, err)
	}
}
