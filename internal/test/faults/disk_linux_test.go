package faults

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"

	"rollcall/internal/test/kit"
)

// TestHistoryOnAFullDisk: while the disk is full the roster goes on, and
// rollcall_history_failing is 1. Then the history is what it would be otherwise.
func TestHistoryOnAFullDisk(t *testing.T) {
	t.Parallel()
	rng := random(t)
	url := kit.StartServer(t).URL
	d := &ownDisk{dir: t.TempDir()}
	p := d.serve(t, url)
	publishNow(t, url, rng, 1000)
	p.stays(p.awaitLast(url))
	if err := d.fill(); err != nil {
		t.Fatal(err)
	}
	publishNow(t, url, rng, 2000)
	p.awaitLast(url)
	p.awaitFailing(1, "the history fails")
	publishNow(t, url, rng, 1000)
	p.awaitLast(url)
	if err := os.Remove(d.filler()); err != nil {
		t.Fatal(err)
	}
	p.awaitFailing(0, "the history is written again")
	wantUndisturbed(t, p, url)
}

// awaitFailing waits until the history is asked for, and written or not.
func (p *process) awaitFailing(want int, what string) {
	p.t.Helper()
	kit.Eventually(p.t, func() bool {
		p.askHistory()
		return p.metric("rollcall_history_failing") == want
	}, what)
}

// awaitLast waits until the last message is folded, and returns its place.
func (p *process) awaitLast(url string) uint64 {
	p.t.Helper()
	last := readOracle(p.t, kit.JetStream(p.t, kit.Conn(p.t, url))).last
	p.awaitPlace(last)
	return last
}

// ownDisk is a small file system that only one process sees.
type ownDisk struct {
	dir string
	pid int
}

// serve starts "rollcall serve" with its data folder on the disk.
func (d *ownDisk) serve(t *testing.T, url string) *process {
	t.Helper()
	if out, err := exec.Command("unshare", "-Urm", "mount", "-t", "tmpfs", "tmpfs", t.TempDir()).CombinedOutput(); err != nil {
		why := fmt.Sprintf("a full disk needs a small file system, which cannot be mounted: %v: %s", err, out)
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
	cmd := exec.Command("unshare", "-Urm", "sh", "-c", `mount -t tmpfs -o size=64m tmpfs "$0" && exec "$@"`, d.dir, rollcall(t), "serve")
	cmd.Env = environment(d.dir, url, "PATH="+os.Getenv("PATH"))
	p := run(t, cmd)
	d.pid = cmd.Process.Pid
	p.root = filepath.Join("/proc", strconv.Itoa(d.pid), "root")
	return p
}

func (d *ownDisk) filler() string {
	return filepath.Join("/proc", strconv.Itoa(d.pid), "root", d.dir, "filler")
}

// fill leaves no space.
func (d *ownDisk) fill() error {
	f, err := os.Create(d.filler())
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := io.Copy(f, zeros{}); !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }
