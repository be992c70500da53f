//go:build linux

package machine

import (
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"rollcall/internal/test/kit"
)

// has returns the trimmed content of a file of the machine.
func (m *Machine) has(path string) string {
	m.t.Helper()
	return strings.TrimSpace(m.Run("cat", path))
}

// identity is what distinguishes machines, and their boots.
type identity struct{ name, id, boot string }

func (m *Machine) identity() identity {
	m.t.Helper()
	return identity{m.has("/proc/sys/kernel/hostname"), m.has("/etc/machine-id"), m.has("/proc/sys/kernel/random/boot_id")}
}

// TestTwo: two machines that run at once are two machines, and both reach what listens
// on the host, and only what was forwarded.
func TestTwo(t *testing.T) {
	a, b := Boot(t, "alpha"), Boot(t, "beta")
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		t.Fatal(err)
	}
	ia, ib := a.identity(), b.identity()
	if ia.name != "alpha" || ib.name != "beta" || ia.id == ib.id || ia.boot == ib.boot || ia.boot == strings.TrimSpace(string(boot)) {
		t.Errorf("the machines are %+v and %+v on a host with boot ID %s", ia, ib, boot)
	}
	server, other := kit.StartServer(t), kit.StartServer(t)
	for _, m := range []*Machine{a, b} {
		m.Forward(address(t, server.URL))
		if info, err := m.ask(t, server.URL); err != nil || !strings.Contains(info, server.NATS().ID()) {
			t.Errorf("%s reaches %q (%v), want the server %s", m.name, info, err, server.NATS().ID())
		}
		if info, err := m.ask(t, other.URL); err == nil {
			t.Errorf("%s reaches %q, which was not forwarded", m.name, info)
		}
		m.AddUsers("ada")
		m.wantOn(map[string]string{m.Login("ada", "").ID: "ada"})
	}
}

// TestConnect: machines that are connected reach each other by name, those that are trusted
// by ssh, also after they were booted again; others are not there.
func TestConnect(t *testing.T) {
	a, b, c := Boot(t, "alpha"), Boot(t, "beta"), Boot(t, "gamma")
	other := Boot(t, "other")
	Connect(a, b, c)
	b.Trust(a)
	c.Trust(a)
	for range 2 {
		for _, name := range []string{"beta", "gamma"} {
			kit.Eventually(t, func() bool {
				out, _ := a.Try("ssh", "-o", "BatchMode=yes", name, "hostname")
				return out == name+"\n"
			}, "alpha logs in to "+name)
		}
		a.Cut()
		b.PowerOff()
		a.Boot()
		b.Boot()
	}
	if out, err := b.Try("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no", "gamma", "true"); err == nil || !strings.Contains(out, "Permission denied") {
		t.Errorf("beta logs in to gamma: %v: %s", err, out)
	}
	for _, m := range []*Machine{a, other} {
		if out, err := m.Try("bash", "-c", "exec 3<>/dev/tcp/other/22"); m == a && err == nil {
			t.Errorf("alpha reaches a machine that is not connected: %s", out)
		}
		if out := m.Run("ip", "-oneline", "-4", "address"); (m == a) != strings.Contains(out, "10.86.0.1/") {
			t.Errorf("%s has the addresses %s", m.name, out)
		}
	}
}

func address(t *testing.T, raw string) string {
	t.Helper()
	u, err := url.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	return u.Host
}

// ask returns the first line that a NATS server sends to the machine.
func (m *Machine) ask(t *testing.T, raw string) (string, error) {
	t.Helper()
	path := "/dev/tcp/" + strings.ReplaceAll(address(t, raw), ":", "/")
	return m.Try("bash", "-euc", `exec 3<>"$0"; head -n 1 <&3`, path)
}

// TestBootAgain: after PowerOff and Cut the machine boots as the same machine, with
// its files, journal and users.
func TestBootAgain(t *testing.T) {
	server := kit.StartServer(t)
	m := Boot(t, "again")
	m.Forward(address(t, server.URL))
	m.AddUsers("ada")
	boots := []identity{m.identity()}
	for i, off := range []func(){m.PowerOff, m.Cut} {
		file := fmt.Sprintf("/var/lib/file%d", i)
		m.Write(file, 0o600, []byte(file))
		m.Write("/run/file", 0o600, nil)
		m.Login("ada", "")
		off()
		start := time.Now()
		m.Boot()
		if up := m.uptime(); up > time.Since(start)+time.Second {
			t.Errorf("the machine is up for %v, and was booted %v ago", up, time.Since(start))
		}
		if got := m.has(file); got != file {
			t.Errorf("%s has %q", file, got)
		}
		if out, err := m.Try("test", "!", "-e", "/run/file"); err != nil {
			t.Errorf("/run/file is there after another boot: %s", out)
		}
		m.wantOn(nil)
		m.wantOn(map[string]string{m.Login("ada", "").ID: "ada"})
		if info, err := m.ask(t, server.URL); err != nil {
			t.Errorf("the server cannot be reached any more: %v: %s", err, info)
		}
		boots = append(boots, m.identity())
	}
	m.wantBoots(boots)
}

// uptime returns how long a unit of the machine thinks the machine has been up.
func (m *Machine) uptime() time.Duration {
	m.t.Helper()
	seconds, _, _ := strings.Cut(m.Run("systemd-run", "--quiet", "--pipe", "--wait", "cat", "/proc/uptime"), " ")
	d, err := time.ParseDuration(seconds + "s")
	if err != nil {
		m.t.Fatal(err)
	}
	return d
}

// wantBoots checks that these are boots of one machine, that its journal has them all,
// and that only the first was ended by systemd.
func (m *Machine) wantBoots(boots []identity) {
	m.t.Helper()
	seen := map[string]bool{}
	for i, b := range boots {
		seen[b.boot] = true
		if b.name != boots[0].name || b.id != boots[0].id || len(seen) != i+1 {
			m.t.Errorf("boot %d is of %+v, the first of %+v", i, b, boots[0])
		}
		records := m.Journal("_BOOT_ID=" + strings.ReplaceAll(b.boot, "-", ""))
		ended := false
		for _, r := range records {
			ended = ended || r["_PID"] == "1" && r["UNIT"] == "poweroff.target"
		}
		if len(records) == 0 || ended != (i == 0) {
			m.t.Errorf("boot %d has %d records, ended by systemd: %v", i, len(records), ended)
		}
	}
}

// TestClock: no process of the machine can set the host's clock.
func TestClock(t *testing.T) {
	m := Boot(t, "clock")
	m.AddUsers("ada")
	m.Login("ada", "")
	for line := range strings.Lines(m.Run("bash", "-c", "cat /proc/[0-9]*/status /proc/self/status | grep ^CapBnd:")) {
		if capabilities(line, "CapBnd")>>sysTime&1 != 0 {
			t.Fatal("a process can get the right to set the clock")
		}
	}
	set := []string{"date", "--set=now"}
	for _, as := range [][]string{nil, {"systemd-run", "--quiet", "--pipe", "--wait"}, {"unshare", "--user", "--map-root-user"}} {
		if out, err := m.Try(append(as, set...)...); err == nil || !strings.Contains(out, "not permitted") {
			t.Errorf("%q %q: %v: %s", as, set, err, out)
		}
	}
}

// TestStart: a program that was copied into the machine runs as a unit.
func TestStart(t *testing.T) {
	m := Boot(t, "start")
	m.Copy("/usr/bin/env", "/opt/test/program")
	m.Start("test", "/opt/test/program", "printf", "said %s", "hello")
	kit.Eventually(t, func() bool {
		records := m.Journal("_SYSTEMD_UNIT=test.service")
		return len(records) == 1 && records[0]["MESSAGE"] == "said hello"
	}, "the journal has what the program said")
}
