//go:build linux

package systemd

import (
	"os"
	"strconv"
	"strings"
	"testing"

	"rollcall/deploy/internal/program"
	"rollcall/internal/test/machine"
)

// installed is a machine with rollcall installed as described in the unit.
type installed struct {
	*machine.Machine
	t *testing.T
}

// install boots a machine and installs the program and the unit as they are shipped, but
// with the embedded server.
func install(t *testing.T) *installed {
	t.Helper()
	m := &installed{machine.Boot(t, "rollcall-test"), t}
	m.Write("/usr/bin/rollcall", 0o755, file(t, program.Rollcall(t)))
	m.Write("/usr/lib/sysusers.d/rollcall.conf", 0o644, file(t, "rollcall.conf"))
	m.Run("systemd-sysusers")
	m.Write("/etc/systemd/system/"+unit, 0o644, file(t, unit))
	m.configure("")
	m.Run("systemctl", "daemon-reload")
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Run("journalctl", "--no-pager", "--grep=^[{]|^rollcall|systemd", "--lines=200"))
		}
	})
	return m
}

// configure writes the unit's environment file.
func (m *installed) configure(more string) {
	m.t.Helper()
	m.Write("/etc/rollcall/rollcall.env", 0o644, []byte("NATS_URL=\n"+more))
}

func file(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// property returns a property of the unit.
func (m *installed) property(name string) string {
	m.t.Helper()
	return strings.TrimSpace(m.Run("systemctl", "show", "--value", "--property="+name, unit))
}

func (m *installed) restarts() int {
	m.t.Helper()
	n, err := strconv.Atoi(m.property("NRestarts"))
	if err != nil {
		m.t.Fatal(err)
	}
	return n
}

// journal returns the unit's log, including systemd's messages about it.
func (m *installed) journal() string {
	m.t.Helper()
	return m.Run("journalctl", "--unit="+unit, "--no-pager", "--output=cat")
}

// wantRestart does something to the process, waits until systemd has restarted it, and
// checks that the journal contains a text.
func (m *installed) wantRestart(what, says string, do func(pid string)) {
	m.t.Helper()
	before, pid := m.restarts(), m.property("MainPID")
	do(pid)
	program.Eventually(m.t, "rollcall is restarted after "+what, func() bool {
		return m.restarts() > before && m.property("ActiveState") == "active" && m.property("MainPID") != pid
	})
	if journal := m.journal(); !strings.Contains(journal, says) {
		m.t.Errorf("after %s the journal lacks %q", what, says)
	}
}

// TestRestarts: systemd restarts rollcall however it ended, except after a configuration
// error, which no restart would fix.
func TestRestarts(t *testing.T) {
	m := install(t)
	m.Run("systemctl", "start", unit)
	signal := func(name string) func(string) {
		return func(pid string) { m.Run("kill", "-"+name, pid) }
	}
	m.wantRestart("SIGKILL", "code=killed, status=9/KILL", signal("KILL"))
	// Like a panic: Go prints all goroutines and exits with 2.
	m.wantRestart("SIGABRT", "code=exited, status=2", signal("ABRT"))
	m.wantRestart("a hang", "Watchdog timeout", signal("STOP"))

	m.wantRestartOnceFree()
	m.wantNoRestart()
}

// wantRestartOnceFree starts the unit while another process has locked the data folder, and
// checks that it serves once the lock is released.
func (m *installed) wantRestartOnceFree() {
	m.t.Helper()
	const lock = "/var/lib/rollcall/lock"
	m.Run("systemctl", "stop", unit)
	m.Run("systemd-run", "--unit=holder", "flock", "--no-fork", lock, "sleep", "infinity")
	program.Eventually(m.t, "the folder is locked", func() bool {
		_, err := m.Try("flock", "--nonblock", lock, "true")
		return err != nil
	})
	_, _ = m.Try("systemctl", "start", unit)
	program.Eventually(m.t, "rollcall is restarted repeatedly", func() bool { return m.restarts() >= 2 })
	m.Run("systemctl", "stop", "holder")
	program.Eventually(m.t, "rollcall serves", func() bool { return m.property("ActiveState") == "active" })
	journal := m.journal()
	for _, want := range []string{"another rollcall uses it", "code=exited, status=1/FAILURE"} {
		if !strings.Contains(journal, want) {
			m.t.Errorf("the journal lacks %q", want)
		}
	}
}

// wantNoRestart checks that the unit is not restarted after a configuration error.
func (m *installed) wantNoRestart() {
	m.t.Helper()
	m.Run("systemctl", "stop", unit)
	m.configure("ROLLCALL_LOG_LEVEL=loud\n")
	if out, err := m.Try("systemctl", "start", unit); err == nil {
		m.t.Errorf("started with an invalid configuration: %s", out)
	}
	// A unit that waits for a restart is activating, not failed.
	want := map[string]string{"ActiveState": "failed", "SubState": "failed", "Result": "exit-code", "ExecMainStatus": "78", "NRestarts": "0"}
	for name, value := range want {
		if got := m.property(name); got != value {
			m.t.Errorf("%s is %s, want %s", name, got, value)
		}
	}
	if journal := m.journal(); !strings.Contains(journal, `ROLLCALL_LOG_LEVEL: "loud" is not a log level; use debug, info, warn or error`) {
		m.t.Error("the journal lacks the error")
	}
}
