package snapshot

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
)

// space is a disk whose free space and mode the test controls.
type space struct {
	disk disk
	dir  string
	// leave leaves this number of pages free; negative: enough.
	leave    func(pages int)
	readOnly func(bool)
}

const page = 4096

// TestFullAndReadOnly: a disk that is full from the k-th page on, for each k, or
// read-only, or becomes so in the middle of a Save, causes an error that is
// reported, and nothing else; once there is space, or the disk is writable again,
// the next Save succeeds. A service also starts on a full disk.
func TestFullAndReadOnly(t *testing.T) {
	d := new(faulty)
	beFullAndReadOnly(t, space{
		disk: d, dir: t.TempDir(),
		leave: func(pages int) {
			d.room = nil
			if pages >= 0 {
				room := pages * page
				d.room = &room
			}
		},
		readOnly: func(on bool) { d.readOnly = on },
	})
}

// onTmpfs is the environment variable that makes the test binary the process with
// its own file system.
const onTmpfs = "SNAPSHOT_TEST_TMPFS"

// TestFullAndReadOnlyTmpfs is TestFullAndReadOnly on a tmpfs, which a process mounts
// in its own namespaces. Where the kernel allows that neither to an ordinary user
// nor to root, only TestFullAndReadOnly and TestSaveOnAFullDisk cover this, and the
// log says so.
func TestFullAndReadOnlyTmpfs(t *testing.T) {
	if dir := os.Getenv(onTmpfs); dir != "" {
		beFullAndReadOnly(t, mounted(t, dir))
		return
	}
	var refused []string
	for _, flags := range []uintptr{syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, syscall.CLONE_NEWNS} {
		cmd := exec.Command(os.Args[0], "-test.run=^TestFullAndReadOnlyTmpfs$", "-test.v")
		cmd.Env = append(os.Environ(), onTmpfs+"="+t.TempDir())
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags}
		if flags&syscall.CLONE_NEWUSER != 0 {
			cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
			cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
		}
		out, err := cmd.CombinedOutput()
		switch {
		case err == nil:
			t.Logf("%s", out)
			return
		case cmd.ProcessState != nil && !strings.Contains(string(out), notMounted):
			t.Fatalf("%v\n%s", err, out)
		}
		refused = append(refused, fmt.Sprintf("%v %s", err, out))
	}
	t.Logf("no file system of our own here: %s", strings.Join(refused, "; "))
}

const notMounted = "not mounted: "

// mounted mounts a small file system for this process only.
func mounted(t *testing.T, dir string) space {
	mount := func(flags uintptr, options string) {
		t.Helper()
		if err := syscall.Mount("rollcall", dir, "tmpfs", flags, options); err != nil {
			t.Fatalf("%s%v", notMounted, err)
		}
	}
	if err := syscall.Mount("none", "/", "", syscall.MS_REC|syscall.MS_PRIVATE, ""); err != nil {
		t.Fatalf("%s%v", notMounted, err)
	}
	mount(0, "size=1m,mode=0700")
	filler := filepath.Join(dir, "filler")
	return space{
		disk: system{}, dir: filepath.Join(dir, "snapshots"),
		leave: func(pages int) {
			if err := leavePages(filler, pages); err != nil {
				t.Fatal(err)
			}
		},
		readOnly: func(on bool) {
			flags := uintptr(syscall.MS_REMOUNT)
			if on {
				flags |= syscall.MS_RDONLY
			}
			mount(flags, "size=1m")
		},
	}
}

// leavePages creates a file that leaves this number of pages free, or removes it.
func leavePages(path string, pages int) error {
	if err := os.RemoveAll(path); err != nil || pages < 0 {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("filled %d bytes: %w", n, err)
	}
	return f.Truncate(n/page*page - int64(pages)*page)
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func beFullAndReadOnly(t *testing.T, sp space) {
	s, err := openOn(sp.disk, sp.dir, "test", quiet(t), prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	r := fleet(t, 2000, 4000)
	saved(t, s, r, 3)
	fullFromEachPage(t, s, r, sp)
	becomesReadOnly(t, s, r, sp)
	beginsFull(t, r, sp)
}

// mustFail saves, which must fail and leave the folder unchanged.
func mustFail(t *testing.T, s *Store, r *roster.Roster, want error) {
	t.Helper()
	before := names(t, s.folder.dir)
	_, err := s.Save(t.Context(), r)
	if _, failing := s.Failing(); !errors.Is(err, want) || failing != err {
		t.Errorf("saved: %v, failing %v, want %v", err, failing, want)
	}
	if now := names(t, s.folder.dir); now != before {
		t.Errorf("the folder was %s, is %s", before, now)
	}
}

// mustSave saves, and loads what was saved.
func mustSave(t *testing.T, s *Store, r *roster.Roster) {
	t.Helper()
	info, err := s.Save(t.Context(), r)
	_, failing := s.Failing()
	got, _ := load(t, s)
	if err != nil || failing != nil || info.StateDigest != digest(r) || got == nil || digest(got) != digest(r) {
		t.Errorf("with room: saved %+v, %v, failing %v", info, err, failing)
	}
	if n := len(contents(t, s.folder.dir)); n != keepCount {
		t.Errorf("then there are %d files: %s", n, names(t, s.folder.dir))
	}
}

func fullFromEachPage(t *testing.T, s *Store, r *roster.Roster, sp space) {
	advance(r)
	last, _ := s.Last()
	pages := int(last.Size / page)
	if pages < 5 {
		t.Fatalf("a snapshot of only %d bytes", last.Size)
	}
	for left := range pages + 1 {
		sp.leave(left)
		mustFail(t, s, r, syscall.ENOSPC)
	}
	t.Logf("full from each of %d pages on", pages+1)
	sp.leave(-1)
	mustSave(t, s, r)
}

func becomesReadOnly(t *testing.T, s *Store, r *roster.Roster, sp space) {
	advance(r)
	sp.readOnly(true)
	mustFail(t, s, r, syscall.EROFS)
	if _, err := openOn(sp.disk, sp.dir, "test", quiet(t), nil); !errors.Is(err, syscall.EROFS) {
		t.Errorf("opened a folder that is read-only: %v", err)
	}
	sp.readOnly(false)
	mustSave(t, s, r)

	advance(r)
	s.AwaitStored = settledBy(func() { sp.readOnly(true) })
	if _, err := s.Save(t.Context(), r); !errors.Is(err, syscall.EROFS) {
		t.Errorf("saved: %v", err)
	}
	if got, _ := load(t, s); got.Status().Position.Place != r.Status().Position.Place-1 {
		t.Errorf("while it is read-only, place %d is loaded", got.Status().Position.Place)
	}
	sp.readOnly(false)
	s.AwaitStored = nil
	mustSave(t, s, r)
}

// beginsFull does what a service does that is started on a full disk.
func beginsFull(t *testing.T, r *roster.Roster, sp space) {
	sp.leave(0)
	s, err := openOn(sp.disk, sp.dir, "test", quiet(t), prometheus.NewRegistry())
	if err != nil {
		t.Fatalf("opening on a full disk: %v", err)
	}
	if got, _ := load(t, s); got == nil || digest(got) != digest(r) {
		t.Error("another roster is loaded from a full disk")
	}
	for range 2 { // there is nothing to save: the folder is tried
		since, failing := s.Failing()
		if !errors.Is(failing, syscall.ENOSPC) || since.IsZero() {
			t.Errorf("failing %v since %v", failing, since)
		}
		if _, err := s.Save(t.Context(), r); err != nil {
			t.Error(err)
		}
	}
	sp.leave(-1)
	mustSave(t, s, r)
	advance(r)
	mustSave(t, s, r)
}

// TestOpenOnFullDiskWithoutFolder: a disk so full that the folder cannot even be
// created is no error either; the folder is created once there is space.
func TestOpenOnFullDiskWithoutFolder(t *testing.T) {
	d := &faulty{room: new(int)}
	s := openOnFaulty(t, d, filepath.Join(t.TempDir(), "new"))
	r, _, err := s.Load(goldenSettings)
	if positions, failed := s.Positions(); r != nil || err != nil || len(positions) > 0 || failed != nil {
		t.Errorf("loaded %v, %v; positions %v, %v", r, err, positions, failed)
	}
	r = roster.New(goldenSettings)
	advance(r)
	if _, err := s.Save(t.Context(), r); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("saved: %v", err)
	}
	d.room = nil
	saved(t, s, r, 3)
	mustSave(t, s, r)
}
