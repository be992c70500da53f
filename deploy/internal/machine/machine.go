//go:build linux

// Package machine boots disposable machines with their own systemd and journal, for tests
// of what systemd does. A machine is a process tree in namespaces: it has the programs of
// the host, a network with loopback only, and the host's kernel and clock, which it
// cannot change. What it writes is in memory only.
package machine

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed boot.sh
var boot []byte

// Machine is a running machine.
type Machine struct {
	t       testing.TB
	pid     int // of its first process, on the host
	console bytes.Buffer
}

// upWithin is how long a machine may take to boot.
const upWithin = 2 * time.Minute

// Boot boots a machine and returns when it is up. It is killed when the test ends. If the
// host cannot boot machines, the test is skipped with the reason.
func Boot(t testing.TB, name string) *Machine {
	t.Helper()
	require(t)
	m := &Machine{t: t}
	dir := t.TempDir()
	script, root := filepath.Join(dir, "boot.sh"), filepath.Join(dir, "machine")
	if err := errors.Join(os.WriteFile(script, boot, 0o600), os.Mkdir(root, 0o700)); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", script, name, root)
	cmd.Stdout, cmd.Stderr = &m.console, &m.console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET,
		Pdeathsig:  syscall.SIGKILL, UseCgroupFD: true, CgroupFD: cgroup(t),
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting a machine: %v", err)
	}
	m.pid = cmd.Process.Pid
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill() // which kills all processes of the PID namespace
		<-ended
		if t.Failed() {
			t.Logf("console of the machine:\n%s", &m.console)
		}
	})
	m.awaitUp(ended)
	return m
}

// cgroup creates the cgroup of a machine and returns its file descriptor. It is removed
// when the test ends.
func cgroup(t testing.TB) (fd int) {
	t.Helper()
	path := filepath.Join(cgroups(), fmt.Sprintf("rollcall-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if err := os.Mkdir(path, 0o755); err != nil {
		t.Fatal(err)
	}
	dir, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		dir.Close()
		removeTree(t, path)
	})
	return int(dir.Fd())
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

// awaitUp waits until systemd has booted the machine.
func (m *Machine) awaitUp(ended <-chan struct{}) {
	m.t.Helper()
	for end := time.Now().Add(upWithin); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		select {
		case <-ended:
			m.t.Fatal("the machine ended while booting")
		default:
		}
		// Before systemd runs, a command would see the host's root.
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.pid)); string(comm) != "systemd\n" {
			continue
		}
		switch state, _ := m.Try("systemctl", "is-system-running"); strings.TrimSpace(state) {
		case "running", "degraded":
			return
		}
	}
	m.t.Fatalf("the machine is not up after %v", upWithin)
}

// command returns a command that runs in the machine.
func (m *Machine) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{
		"--target", strconv.Itoa(m.pid), "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup",
		"--", "setpriv", "--bounding-set", "-sys_time,-sys_module,-sys_rawio",
		"env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
	}, args...)...)
}

// Try runs a command in the machine, as root, and returns its output.
func (m *Machine) Try(args ...string) (string, error) {
	out, err := m.command(args...).CombinedOutput()
	return string(out), err
}

// Run is Try for a command that must succeed.
func (m *Machine) Run(args ...string) string {
	m.t.Helper()
	out, err := m.Try(args...)
	if err != nil {
		m.t.Fatalf("%q: %v\n%s", args, err, out)
	}
	return out
}

// Write writes a file in the machine, and creates its folder.
func (m *Machine) Write(path string, mode os.FileMode, content []byte) {
	m.t.Helper()
	cmd := m.command("install", "-D", "-m", fmt.Sprintf("%o", mode), "/dev/stdin", path)
	cmd.Stdin = bytes.NewReader(content)
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("writing %s: %v\n%s", path, err, out)
	}
}
