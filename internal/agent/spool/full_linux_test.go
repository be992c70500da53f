package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// fullDir is the environment variable that makes the test binary the process that has a
// small file system in this folder.
const fullDir = "SPOOL_TEST_FULL"

// TestFull: on a full disk, whenever it becomes full, Append says so and stores nothing.
// Acks make space. Then the same records are appended, and nothing is lost or twice.
func TestFull(t *testing.T) {
	if dir := os.Getenv(fullDir); dir != "" {
		beFull(t, dir)
		return
	}
	mount := []string{"-Urm", "sh", "-c", `mount -t tmpfs -o size=256k tmpfs "$0" && exec "$@"`}
	dir := t.TempDir()
	if out, err := exec.CommandContext(t.Context(), "unshare", append(mount, dir, "true")...).CombinedOutput(); err != nil {
		why := fmt.Sprintf("a full disk needs a small file system, which cannot be mounted: %v: %s", err, out)
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", append(mount, dir, os.Args[0], "-test.run=^TestFull$", "-test.v")...)
	cmd.Env = append(os.Environ(), fullDir+"="+dir)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// fullPage is a record that fills some pages.
func fullPage(number uint64) Record {
	return Record{number, []byte(strings.Repeat(fmt.Sprint(number, " "), 1500)), fmt.Appendf(nil, "state %d", number)}
}

// beFull fills the disk with each number of free pages, from none on.
func beFull(t *testing.T, root string) {
	c := tiny
	c.segmentSize = 8 << 10
	dir := filepath.Join(root, "spool")
	s := mustOpen(t, dir, c)
	for pages := range 8 {
		for range 3 {
			if err := s.Append(fullPage(s.Next())); err != nil {
				t.Fatal(err)
			}
		}
		fill(t, root, pages)
		refused := appendUntilFull(t, s)
		if pages%2 == 1 {
			s.crash()
			s = mustOpen(t, dir, c) // on a full disk, too
		}
		checkFull(t, s, pages)
		if refused != s.Next() {
			t.Errorf("%d pages: next is %d, want %d", pages, s.Next(), refused)
		}
		ack(t, s, refused-1)
		if stats := s.Stats(); pages%2 == 0 && s.Append(fullPage(refused)) != nil {
			t.Errorf("%d pages: acks made no space: %+v", pages, stats)
		}
		os.Remove(filepath.Join(root, "filler"))
	}
}

// appendUntilFull appends until the disk is full, and returns the number refused.
func appendUntilFull(t *testing.T, s *Spool) uint64 {
	t.Helper()
	for {
		next, state := s.Next(), s.State()
		err := s.Append(fullPage(next))
		if err == nil {
			continue
		}
		again := s.Append(fullPage(next))
		if !errors.Is(err, syscall.ENOSPC) || !errors.Is(again, syscall.ENOSPC) || !strings.Contains(err.Error(), "no space left") {
			t.Fatalf("append: %v, and again: %v", err, again)
		}
		if s.Next() != next || string(s.State()) != string(state) {
			t.Fatalf("next is %d, want %d, state %s, want %s", s.Next(), next, s.State(), state)
		}
		return next
	}
}

// checkFull checks that a spool has all records that are not acked.
func checkFull(t *testing.T, s *Spool, pages int) {
	t.Helper()
	var got []uint64
	for _, r := range drain(t, s.Reader()) {
		if !equal(r, fullPage(r.Number)) {
			t.Fatalf("%d pages: record %d is another", pages, r.Number)
		}
		got = append(got, r.Number)
	}
	stats := s.Stats()
	if stats.Dropped != 0 || !slices.Equal(got, upTo(stats.Acked+1, s.Next()-1)) {
		t.Errorf("%d pages: read %d, next %d, %+v", pages, got, s.Next(), stats)
	}
}

// fill leaves some pages free.
func fill(t *testing.T, root string, pages int) {
	t.Helper()
	f, err := os.Create(filepath.Join(root, "filler"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n, err := io.Copy(f, zeros{})
	if !errors.Is(err, syscall.ENOSPC) {
		t.Fatalf("filled %d bytes: %v", n, err)
	}
	if err := f.Truncate(max(0, n/4096-int64(pages)) * 4096); err != nil {
		t.Fatal(err)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
