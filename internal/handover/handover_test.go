package handover

import (
	"context"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"rollcall/internal/history"
	"rollcall/internal/snapshot"
	"rollcall/internal/test/kit"
	rollcallv1 "rollcall/proto/rollcall/v1"
)

// write writes a file, with its folder.
func write(t *testing.T, text string, path ...string) {
	t.Helper()
	name := filepath.Join(path...)
	if err := errors.Join(os.MkdirAll(filepath.Dir(name), 0o700), os.WriteFile(name, []byte(text), 0o600)); err != nil {
		t.Fatal(err)
	}
}

// runs runs a giver until the test ends, and returns once it answers.
func runs(t *testing.T, nc *nats.Conn, giver *Giver) {
	t.Helper()
	kit.Run(t, giver.Run)
	kit.Eventually(t, func() bool { // an empty request is answered with an error
		_, err := nc.Request(subject(giver.Subjects), nil, time.Minute)
		return err == nil
	}, "somebody hands over")
}

// contents returns the files of a folder, as path=text.
func contents(t *testing.T, dir string) string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		rest, _ := filepath.Rel(dir, path) //nolint:errcheck // it is below
		all = append(all, filepath.ToSlash(rest)+"="+strings.TrimSpace(string(text)))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(all, " ")
}

// TestInstall: what was fetched replaces what there is, which is kept; after a crash at any
// moment the next start goes on; what was not fetched completely is removed.
func TestInstall(t *testing.T) {
	name := snapshot.Name(7)
	want := "history.db=new replaced-7/history.db=old replaced-7/history.db-wal=old replaced-7/snapshots/x=old snapshots/" + name + "=new"
	for steps := range 3 {
		dir := t.TempDir()
		write(t, "old", dir, "snapshots", "x")
		write(t, "old", dir, history.FileName)
		write(t, "old", dir, history.FileName+"-wal")
		write(t, "new", dir, folderName, snapshotFile)
		write(t, "new", dir, folderName, historyFile)
		if _, installed, err := Install(dir); installed || err != nil {
			t.Fatalf("one that is not complete: %v, %v", installed, err)
		}
		write(t, "new", dir, folderName, snapshotFile)
		write(t, "new", dir, folderName, historyFile)
		write(t, "7\n", dir, folderName, completeFile)
		if steps > 0 { // the snapshot was moved before a crash
			move(t, filepath.Join(dir, "snapshots"), filepath.Join(dir, "replaced-7", "snapshots"))
			if steps > 1 {
				move(t, filepath.Join(dir, folderName, snapshotFile), filepath.Join(dir, "snapshots", name))
			}
		}
		if place, installed, err := Install(dir); place != 7 || !installed || err != nil {
			t.Fatalf("place %d, %v, %v", place, installed, err)
		}
		if got := contents(t, dir); got != want {
			t.Errorf("after %d steps before a crash: %s, want %s", steps, got, want)
		}
		if _, installed, err := Install(dir); installed || err != nil {
			t.Errorf("again: %v, %v", installed, err)
		}
	}
}

func move(t *testing.T, from, to string) {
	t.Helper()
	if err := errors.Join(os.MkdirAll(filepath.Dir(to), 0o700), os.Rename(from, to)); err != nil {
		t.Fatal(err)
	}
}

// ofFormat returns a snapshot with another number of its format, which is followed by a
// checksum of what is before.
func ofFormat(t *testing.T, file []byte, format uint32) []byte {
	t.Helper()
	sum := func(b []byte) uint32 { return crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)) }
	for at := 4; at < 64; at++ {
		if binary.LittleEndian.Uint32(file[at:]) != sum(file[:at]) {
			continue
		}
		changed := slices.Clone(file)
		binary.LittleEndian.PutUint32(changed[at-4:], format)
		binary.LittleEndian.PutUint32(changed[at:], sum(changed[:at]))
		return changed
	}
	t.Fatal("no checksum found")
	return nil
}

// TestOtherVersions: what this program cannot read is not taken, and says so; a snapshot of a
// newer program is told apart.
func TestOtherVersions(t *testing.T) {
	url := kit.StartServer(t).URL
	nc := kit.Conn(t, url)
	subjects, err := rollcallv1.NewSubjects(rollcallv1.DefaultSubject)
	if err != nil {
		t.Fatal(err)
	}
	js := kit.JetStream(t, kit.Conn(t, url))
	if _, err := Fetch(t.Context(), nc, js, subjects, t.TempDir()); !errors.Is(err, ErrNobody) {
		t.Errorf("nobody is there: %v", err)
	}
	var files func() (*Files, error)
	giver := &Giver{
		Conn: kit.Conn(t, url), Open: apart(t, url), Subjects: subjects, Version: "v9", Log: kit.Logger(t),
		Make: func(context.Context) (*Files, error) { return files() },
	}
	runs(t, nc, giver)
	file := func(text string) *os.File {
		name := filepath.Join(t.TempDir(), "file")
		write(t, text, name)
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	good, err := os.ReadFile("../snapshot/testdata/format-4.rollcall")
	if err != nil {
		t.Fatal(err)
	}
	newer := ofFormat(t, good, snapshot.Format+1)
	for _, c := range []struct {
		name, snapshot, history string
		fails                   error
		want                    string
	}{
		{"of a newer version", string(newer), "", snapshot.ErrNewer, "of version v9"},
		{"damaged", string(good[:len(good)-1]), "", nil, "reading snapshot"},
		{"another history", string(good), "none", nil, "the history of the active rollcall, of version v9"},
	} {
		files = func() (*Files, error) {
			f := &Files{Snapshot: file(c.snapshot), Remove: func() {}}
			if c.history != "" {
				f.History = file(c.history)
			}
			return f, nil
		}
		dir := t.TempDir()
		_, err := Fetch(t.Context(), nc, js, subjects, dir)
		if err == nil || c.fails != nil && !errors.Is(err, c.fails) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.name, err)
		}
		if got := contents(t, dir); got != "" {
			t.Errorf("%s leaves %s", c.name, got)
		}
	}
	files = func() (*Files, error) { return nil, nil }
	if _, err := Fetch(t.Context(), nc, js, subjects, t.TempDir()); !errors.Is(err, ErrNothing) {
		t.Errorf("nothing: %v", err)
	}
	files = func() (*Files, error) { return nil, errors.New("the disk is full") }
	if _, err := Fetch(t.Context(), nc, js, subjects, t.TempDir()); err == nil || !strings.Contains(err.Error(), "the disk is full") {
		t.Errorf("a failure: %v", err)
	}
}
