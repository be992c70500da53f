//go:build linux

// Package machine boots disposable machines with their own systemd, logind, D-Bus and
// journal, for tests of what happens on real machines. A machine is a process tree in
// namespaces. It has the programs of the host, or of the folder that TEST_MACHINE_ROOT names
// (such as one of debootstrap, for another systemd), and none of its services, settings of
// units, disks or journals. Its network is its own, with loopback only until it is connected
// to other machines. Its kernel is the host's, and so is its date, which it cannot set.
//
// A machine can be powered off, cut from power, and booted again: it then has the same
// machine ID, files and journal, another boot ID, and counts its uptime from zero. What it
// writes is in memory, and is gone when the test ends.
package machine

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed boot.sh
var boot string

// Machine is a machine, on or off. The methods that boot it and turn it off may not be
// called while another method runs.
type Machine struct {
	t       testing.TB
	name    string
	parts   *parts
	first   *os.Process   // its PID 1; nil: off
	off     chan struct{} // closed when the machine is off
	ended   error         // how the first process ended; after off
	console bytes.Buffer  // after off
	door    *door         // nil: nobody can log in
}

// patience is how long a machine may take for anything: far more than necessary.
const patience = 2 * time.Minute

// Boot boots a new machine and returns when it is up. It is killed when the test ends.
// If the host cannot boot machines, the test is skipped with the reason.
func Boot(t testing.TB, name string) *Machine {
	t.Helper()
	require(t)
	m := &Machine{t: t, name: name, parts: newParts(t)}
	t.Cleanup(func() {
		if m.first != nil {
			m.Cut()
		}
		if t.Failed() {
			t.Logf("console of %s:\n%s", name, &m.console)
		}
	})
	m.Boot()
	return m
}

// Boot boots the machine again after PowerOff or Cut.
func (m *Machine) Boot() {
	m.t.Helper()
	group := cgroup(m.t)
	defer group.Close()
	// A cgroup namespace is rooted at the cgroup of the process that creates it: unshare
	// is in the new cgroup already.
	args := append([]string{"unshare", "--mount", "--cgroup"}, sinceNow()...)
	cmd := m.parts.command(append(args, "bash", "-c", boot, "boot", m.name, m.parts.folder, root())...)
	cmd.Stdout, cmd.Stderr = &m.console, &m.console
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL, UseCgroupFD: true, CgroupFD: int(group.Fd()),
	}
	if err := cmd.Start(); err != nil {
		m.t.Fatalf("starting %s: %v", m.name, err)
	}
	m.first, m.off = cmd.Process, make(chan struct{})
	go func() {
		m.ended = cmd.Wait()
		removeTree(m.t, group.Name())
		close(m.off)
	}()
	m.awaitUp()
}

// sinceNow returns the options of unshare for a time namespace whose clocks that count
// from the boot begin now, to the second. The clock that has the date is always the host's.
func sinceNow() []string {
	var monotonic, boottime unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &monotonic)
	_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &boottime)
	return []string{"--time", fmt.Sprintf("--monotonic=-%d", monotonic.Sec), fmt.Sprintf("--boottime=-%d", boottime.Sec)}
}

// awaitUp waits until systemd has booted the machine.
func (m *Machine) awaitUp() {
	m.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		select {
		case <-m.off:
			m.t.Fatalf("%s went off while booting: %v", m.name, m.ended)
		default:
		}
		// Before systemd runs, a command would see the host's root.
		if comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", m.first.Pid)); string(comm) != "systemd\n" {
			continue
		}
		switch state, _ := m.Try("systemctl", "is-system-running"); strings.TrimSpace(state) {
		case "running", "degraded":
			return
		}
	}
	m.t.Fatalf("%s is not up after %v", m.name, patience)
}

// PowerOff powers the machine off, as its administrator would, and returns when it is off.
func (m *Machine) PowerOff() {
	m.t.Helper()
	_, _ = m.Try("systemctl", "poweroff") // which may be killed before it ends
	select {
	case <-m.off:
	case <-time.After(patience):
		m.t.Fatalf("%s is not off after %v", m.name, patience)
	}
	m.first = nil
	// The kernel ends a PID namespace that is powered off with SIGINT.
	var exit *exec.ExitError
	if !errors.As(m.ended, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGINT {
		m.t.Fatalf("%s was not powered off: %v", m.name, m.ended)
	}
}

// Cut cuts the machine from power: all its processes are killed at once. Unlike a machine
// without power, the kernel ends its connections.
func (m *Machine) Cut() {
	_ = m.first.Kill() // and, as it is PID 1, all others
	<-m.off
	m.first = nil
}
