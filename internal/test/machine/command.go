//go:build linux

package machine

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
)

// command returns a command that runs in the machine.
func (m *Machine) command(args ...string) *exec.Cmd {
	return exec.Command("nsenter", append([]string{
		"--target", strconv.Itoa(m.first.Pid), "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--time",
		"--", "setpriv", "--bounding-set", "-sys_time,-sys_module,-sys_rawio",
		"env", "-i", "PATH=/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root",
	}, args...)...)
}

// Try runs a command in the machine, as root, and returns its output. The command is in
// no session and no unit.
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

// Start starts a program as a unit of systemd, which "systemctl stop" and "systemctl
// kill" end, and whose output is in the journal.
func (m *Machine) Start(unit string, args ...string) {
	m.t.Helper()
	m.Run(append([]string{"systemd-run", "--quiet", "--collect", "--unit=" + unit, "--"}, args...)...)
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

// Copy copies a file of the host into the machine.
func (m *Machine) Copy(from, to string) {
	m.t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		m.t.Fatal(err)
	}
	info, err := os.Stat(from)
	if err != nil {
		m.t.Fatal(err)
	}
	m.Write(to, info.Mode().Perm(), content)
}

// Journal returns the records of the journal that these arguments of journalctl select,
// oldest first. Fields that are not valid text are left out.
func (m *Machine) Journal(args ...string) []map[string]string {
	m.t.Helper()
	out := m.Run(append([]string{"journalctl", "--quiet", "--output=json", "--all"}, args...)...)
	var records []map[string]string
	for line := range strings.Lines(out) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			m.t.Fatalf("reading the journal: %v\n%s", err, line)
		}
		record := map[string]string{}
		for name, value := range fields {
			if text, ok := value.(string); ok {
				record[name] = text
			}
		}
		records = append(records, record)
	}
	return records
}
