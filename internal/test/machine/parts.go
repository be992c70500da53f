//go:build linux

package machine

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// parts is what a machine keeps while it is off: a folder in memory and a network. An
// idle process has both in namespaces of its own, so they end with the test.
type parts struct {
	folder string // in that process's mount namespace
	pid    int
}

// assemble mounts the folder, which is its first argument, and waits for the end of the
// test. The folder is in memory because an overlay's upper layer cannot be on an overlay,
// which the root of a container may be.
const assemble = `
	mount --make-rprivate /
	mount -t tmpfs tmpfs "$1"
	ip link set lo up
	echo ready
	read -r || true`

func newParts(t testing.TB) *parts {
	t.Helper()
	p := &parts{folder: t.TempDir()}
	cmd := exec.Command("bash", "-euc", assemble, "assemble", p.folder)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWNET}
	cmd.Stderr = os.Stderr
	stdin, inErr := cmd.StdinPipe()
	stdout, outErr := cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, cmd.Start()); err != nil {
		t.Fatalf("assembling a machine: %v", err)
	}
	t.Cleanup(func() {
		stdin.Close()
		_ = cmd.Wait()
	})
	if _, err := bufio.NewReader(stdout).ReadString('\n'); err != nil {
		t.Fatalf("assembling a machine: %v", err)
	}
	p.pid = cmd.Process.Pid
	return p
}

// namespace returns the path of one of the parts' namespaces.
func (p *parts) namespace(kind string) string { return fmt.Sprintf("/proc/%d/ns/%s", p.pid, kind) }

// command returns a command that runs with these parts.
func (p *parts) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{"--mount=" + p.namespace("mnt"), "--net=" + p.namespace("net")}, args...)...)
}

// cgroup creates the cgroup of a boot and opens it.
func cgroup(t testing.TB) *os.File {
	t.Helper()
	path := filepath.Join(cgroups(), fmt.Sprintf("rollcall-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// removeTree removes a cgroup and those that systemd has created in it. It retries, as a
// cgroup stays in use for a moment after its processes were killed.
func removeTree(t testing.TB, path string) {
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		var folders []string
		_ = filepath.WalkDir(path, func(name string, entry os.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				folders = append(folders, name)
			}
			return nil
		})
		for i := len(folders) - 1; i >= 0; i-- {
			_ = os.Remove(folders[i])
		}
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			return
		}
		if time.Now().After(end) {
			t.Logf("cgroup %s cannot be removed", path)
			return
		}
	}
}
