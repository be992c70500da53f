package snapshot

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"rollcall/internal/roster"
)

func openStore(t *testing.T, dir string) *Store {
	t.Helper()
	s, err := Open(dir, "test", quiet(t), prometheus.NewPedanticRegistry())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// advance folds one more login.
func advance(r *roster.Roster) {
	place := r.Status().Position.Place + 1
	e := goldenEvent(int(place), roster.Login, "web", roster.Session{User: "ada"})
	e.Place = place
	r.Fold(&roster.Batch{Messages: []roster.Message{e}, End: position(place)})
}

// saved saves n snapshots, with one login before each.
func saved(t *testing.T, s *Store, r *roster.Roster, n int) {
	t.Helper()
	for range n {
		advance(r)
		if _, err := s.Save(t.Context(), r); err != nil {
			t.Fatal(err)
		}
	}
}

// names lists a folder, with shortened names.
func names(t *testing.T, dir string) string {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, f := range files {
		list = append(list, strings.Replace(f.Name(), "snapshot-0000000000000000000", "", 1))
	}
	return strings.Join(list, " ")
}

func load(t *testing.T, s *Store) (*roster.Roster, Info) {
	t.Helper()
	r, info, err := s.Load(goldenSettings)
	if err != nil {
		t.Fatal(err)
	}
	return r, info
}

func damage(t *testing.T, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func entryPath(dir string, place uint64) string {
	return filepath.Join(dir, entry{place, 1}.String())
}

func TestSaveAndLoad(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "snapshots")
	s := openStore(t, dir)
	if r, _ := load(t, s); r != nil {
		t.Fatal("a roster from an empty folder")
	}
	if _, ok := s.Last(); ok {
		t.Error("a last snapshot in an empty folder")
	}
	r := roster.New(goldenSettings)
	if info, err := s.Save(t.Context(), r); err != nil || info.Path != "" || names(t, dir) != "" {
		t.Errorf("saved before anything was read: %+v, %v", info, err)
	}
	saved(t, s, r, 5)
	if got := names(t, dir); got != "3.rollcall 4.rollcall 5.rollcall" {
		t.Errorf("kept %s", got)
	}
	again, err := s.Save(t.Context(), r)
	if last, _ := s.Last(); err != nil || again != last || names(t, dir) != "3.rollcall 4.rollcall 5.rollcall" {
		t.Errorf("saved without a change: %+v, %v", again, err)
	}

	s = openStore(t, dir)
	got, info := load(t, s)
	if got == nil || !bytes.Equal(encoding(got), encoding(r)) || got.Status() != r.Status() {
		t.Fatal("loaded another roster")
	}
	if info != again {
		t.Errorf("loaded %+v, saved %+v", info, again)
	}
	if last, ok := s.Last(); !ok || last != info {
		t.Errorf("last is %+v", last)
	}
	if info.Version != "test" || info.Settings != goldenSettings || info.StateDigest != digest(r) {
		t.Errorf("info %+v", info)
	}
	stat, err := os.Stat(info.Path)
	if err != nil || stat.Size() != info.Size || stat.Mode() != 0o600 {
		t.Errorf("file %v, %v", stat, err)
	}
	if stat, err := os.Stat(dir); err != nil || stat.Mode().Perm() != 0o700 {
		t.Errorf("folder %v, %v", stat, err)
	}
	positions, err := s.Positions()
	if want := []roster.Position{position(5), position(4), position(3)}; err != nil || !slices.Equal(positions, want) {
		t.Errorf("positions %v, %v", positions, err)
	}
}

func TestLoadSkipsDamaged(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	saved(t, s, roster.New(goldenSettings), 3)
	damage(t, entryPath(dir, 3))
	if err := os.Truncate(entryPath(dir, 2), 100); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, entry{2, 1}.String()+".bad"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, info := load(t, s)
	if info.Status.Position != position(1) {
		t.Errorf("loaded %+v", info.Status.Position)
	}
	if got := names(t, dir); got != "1.rollcall 2.rollcall.bad 2.rollcall.bad-2 3.rollcall.bad" {
		t.Errorf("folder %s", got)
	}
	if stat, err := os.Stat(filepath.Join(dir, entry{2, 1}.String()+".bad")); err != nil || stat.Size() != 0 {
		t.Errorf("the earlier bad one was overwritten")
	}
	if got := testutil.ToFloat64(s.metrics.errors); got != 2 {
		t.Errorf("%v errors, want 2", got)
	}
	// The damaged ones are neither loaded nor removed later.
	r, _ := load(t, s)
	saved(t, s, r, 5)
	if got := names(t, dir); got != "2.rollcall.bad 2.rollcall.bad-2 3.rollcall.bad 4.rollcall 5.rollcall 6.rollcall" {
		t.Errorf("folder %s", got)
	}
}

func TestLoadSkipsMisnamed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	saved(t, s, roster.New(goldenSettings), 2)
	if err := os.Rename(entryPath(dir, 1), entryPath(dir, 7)); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"snapshot-9.rollcall", "snapshot-99999999999999999999.rollcall", entry{9, 1}.String() + "~", "snapshot-00000000000000000009-1.rollcall"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("?"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, info := load(t, s); info.Status.Position != position(2) {
		t.Errorf("loaded %+v", info.Status.Position)
	}
	if _, err := os.Stat(entryPath(dir, 7) + ".bad"); err != nil {
		t.Error(err)
	}
	if got := testutil.ToFloat64(s.metrics.errors); got != 1 {
		t.Errorf("%v errors, want that of place 7", got)
	}
}

func TestNewerFormatIsKept(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 2)
	newer := append(appendPreamble(nil, Format+1), "of the future"...)
	for place := uint64(1); place <= 3; place += 2 {
		if err := os.WriteFile(entryPath(dir, place), newer, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r, info := load(t, s)
	if info.Status.Position != position(2) {
		t.Errorf("loaded %+v", info.Status.Position)
	}
	if got := testutil.ToFloat64(s.metrics.errors); got != 0 {
		t.Errorf("%v errors", got)
	}
	saved(t, s, r, 4)
	if got := names(t, dir); got != "1.rollcall 3.rollcall 4.rollcall 5.rollcall 6.rollcall" {
		t.Errorf("folder %s", got)
	}
	for place := uint64(1); place <= 3; place += 2 {
		if got, err := os.ReadFile(entryPath(dir, place)); err != nil || !bytes.Equal(got, newer) {
			t.Errorf("place %d: %q, %v", place, got, err)
		}
	}
}

func TestSecondSnapshotOfPlace(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	newer := appendPreamble(nil, Format+1)
	if err := os.WriteFile(entryPath(dir, 1), newer, 0o600); err != nil {
		t.Fatal(err)
	}
	r := roster.New(goldenSettings)
	saved(t, s, r, 1)
	if got := names(t, dir); got != "1-2.rollcall 1.rollcall" {
		t.Errorf("folder %s", got)
	}
	// A new incarnation of the stream, from which nothing has been read yet.
	at := r.Status().Position
	at.Proof.Created++
	r.Fold(&roster.Batch{End: at})
	if _, err := s.Save(t.Context(), r); err != nil {
		t.Fatal(err)
	}
	if got := names(t, dir); got != "1-2.rollcall 1-3.rollcall 1.rollcall" {
		t.Errorf("folder %s", got)
	}
	if _, info := load(t, s); info.Status.Position != at {
		t.Errorf("loaded %+v, want %+v", info.Status.Position, at)
	}
	if got, err := os.ReadFile(entryPath(dir, 1)); err != nil || !bytes.Equal(got, newer) {
		t.Errorf("%q, %v", got, err)
	}
}

// TestUnreadableIsNotRenamed: a snapshot that cannot be read because of an I/O error
// may be valid. It is neither renamed nor counted among the newest three.
func TestUnreadableIsNotRenamed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	r := roster.New(goldenSettings)
	saved(t, s, r, 3)
	for place := uint64(7); place < 10; place++ {
		if err := os.Mkdir(entryPath(dir, place), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	r, info := load(t, s)
	if info.Status.Position != position(3) || testutil.ToFloat64(s.metrics.errors) != 3 {
		t.Errorf("loaded %+v", info.Status.Position)
	}
	saved(t, s, r, 1)
	if got := names(t, dir); got != "2.rollcall 3.rollcall 4.rollcall 7.rollcall 8.rollcall 9.rollcall" {
		t.Errorf("folder %s", got)
	}
}

func TestOpenRemovesTemporaryFiles(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"snapshot-123456.tmp", "notes.tmp", "snapshot-.tmp", "snapshot-1.tmp.txt"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	openStore(t, dir)
	if got := names(t, dir); got != "notes.tmp snapshot-.tmp snapshot-1.tmp.txt" {
		t.Errorf("folder %s", got)
	}
	f, err := os.CreateTemp(dir, tempPattern)
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	if !tempName.MatchString(filepath.Base(f.Name())) {
		t.Errorf("%s would be left", f.Name())
	}
}

func TestOpenRefusesAFolderThatItCannotWriteTo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc"} {
		_, err := Open(dir, "test", quiet(t), prometheus.NewRegistry())
		if err == nil || !strings.Contains(err.Error(), "opening folder for snapshots: ") || !strings.Contains(err.Error(), file) && dir != "/proc" {
			t.Errorf("%s: %v", dir, err)
		}
	}
}

// TestNewerSnapshotsAreKept saves places below those in the folder, as after loading
// a snapshot older than the newest: the new one isn't removed as the oldest, and the
// others are kept, as they may be valid.
func TestNewerSnapshotsAreKept(t *testing.T) {
	dir := t.TempDir()
	for place := uint64(6); place < 10; place++ {
		if err := os.WriteFile(entryPath(dir, place), file(t, golden()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	saved(t, openStore(t, dir), roster.New(goldenSettings), 4)
	if got := names(t, dir); got != "2.rollcall 3.rollcall 4.rollcall 6.rollcall 7.rollcall 8.rollcall 9.rollcall" {
		t.Errorf("folder %s", got)
	}
}

// TestKeptFor: beside the newest three, the newest snapshot that is not above a place is
// kept for what still needs it. It is loaded with the settings it was made with; a damaged
// one is passed over.
func TestKeptFor(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	needed := uint64(2)
	s.KeepFor = func() uint64 { return needed }
	r := roster.New(goldenSettings)
	saved(t, s, r, 7)
	if got := names(t, dir); got != "2.rollcall 5.rollcall 6.rollcall 7.rollcall" {
		t.Errorf("folder %s", got)
	}
	for _, c := range []struct{ upTo, want uint64 }{{1, 0}, {2, 2}, {4, 2}, {6, 6}, {9, 7}} {
		got, err := s.LoadUpTo(c.upTo)
		switch {
		case err != nil || got == nil != (c.want == 0):
			t.Errorf("up to %d: %v, %v", c.upTo, got, err)
		case got != nil && (got.Status().Position != position(c.want) || got.Settings() != goldenSettings):
			t.Errorf("up to %d: place %d, settings %+v", c.upTo, got.Status().Position.Place, got.Settings())
		}
	}
	damage(t, s.folder.path(entry{6, 1}.String()))
	if got, err := s.LoadUpTo(6); err != nil || got.Status().Position != position(5) {
		t.Errorf("before a damaged one: %v, %v", got, err)
	}
	needed = 7
	saved(t, s, r, 1)
	if got := names(t, dir); got != "6.rollcall 7.rollcall 8.rollcall" {
		t.Errorf("folder %s once it is not needed any more", got)
	}
}
