package service

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/snapshot"
	"rollcall/internal/test/kit"
)

// TestSnapshotCheck: the check shows that snapshots cannot be saved, since when and why,
// and the last one that could; the service stays ready; once one is saved again, the check
// holds.
func TestSnapshotCheck(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "snapshots")
	store, err := snapshot.Open(dir, "test", kit.Logger(t), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	s := &service{snapshots: store}
	wantCheck(t, s, false, `^starting$`)
	s.links.events.conn.Store(new(nats.Conn))
	wantCheck(t, s, true, `^none yet$`)
	r := roster.New(roster.DefaultSettings())
	kit.Feed(r, kit.Login("web", "lane"))
	if _, err := store.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	const last = `place 1, written 2\S+Z, state_digest [0-9a-f]{64}$`
	wantCheck(t, s, true, `^`+last)

	away := errors.Join(os.Rename(dir, dir+"-away"), os.WriteFile(dir, nil, 0o600))
	r.Fold(&roster.Batch{End: roster.Position{Place: 2}})
	if _, err := store.Save(t.Context(), r); away != nil || err == nil {
		t.Fatalf("saved into a file: %v", away)
	}
	wantCheck(t, s, false, `^failing since 2\S+Z: saving snapshot: .*not a directory; the last: `+last)

	back := errors.Join(os.Remove(dir), os.Rename(dir+"-away", dir))
	if _, err := store.Save(t.Context(), r); err != nil || back != nil {
		t.Fatal(err, back)
	}
	wantCheck(t, s, true, `^place 2, `)
}

// wantCheck runs the check of snapshots, which never decides.
func wantCheck(t *testing.T, s *service, want bool, state string) {
	t.Helper()
	for _, check := range s.checks() {
		if check.Name != "snapshot" {
			continue
		}
		holds, got := check.Run()
		if holds != want || check.Decides || !regexp.MustCompile(state).MatchString(got) {
			t.Errorf("holds %v, decides %v, %q, want %v, %s", holds, check.Decides, got, want, state)
		}
	}
}
