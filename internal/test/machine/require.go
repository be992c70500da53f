//go:build linux

package machine

import (
	"cmp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root returns the folder with the programs of the machines.
func root() string { return cmp.Or(os.Getenv("TEST_MACHINE_ROOT"), "/") }

// require skips the test if no machine can be booted. In continuous integration (CI is
// set) a missing program fails the test instead.
func require(t testing.TB) {
	t.Helper()
	if why := unable(); why != "" {
		t.Skipf("no machine can be booted here: %s", why)
	}
	without(t, missing())
}

// requireSSH skips the test if the host has no sshd.
func requireSSH(t testing.TB) {
	t.Helper()
	if !exists(filepath.Join(root(), "/usr/sbin/sshd")) {
		without(t, "/usr/sbin/sshd is missing: apt-get install openssh-server")
	}
}

// without skips the test because of a missing program, or fails it in continuous
// integration.
func without(t testing.TB, why string) {
	t.Helper()
	switch {
	case why == "":
	case os.Getenv("CI") != "":
		t.Fatal(why)
	default:
		t.Skip(why)
	}
}

// The numbers of CAP_SYS_ADMIN and CAP_SYS_TIME.
const (
	sysAdmin = 21
	sysTime  = 25
)

// unable returns why the host cannot boot a machine, or "".
func unable() string {
	filesystems, _ := os.ReadFile("/proc/filesystems")
	status, _ := os.ReadFile("/proc/self/status")
	switch {
	case os.Geteuid() != 0:
		return "not running as root"
	case capabilities(string(status), "CapEff")>>sysAdmin&1 == 0:
		return "root has no CAP_SYS_ADMIN"
	case !slices.Contains(strings.Fields(string(filesystems)), "overlay"):
		return "the kernel has no overlayfs (modprobe overlay)"
	case !exists("/proc/self/ns/time"):
		return "the kernel has no time namespaces"
	case cgroups() == "":
		return "no writable cgroup2 is mounted"
	}
	return ""
}

// capabilities returns a set of capabilities of a process, such as CapEff, from its
// /proc/PID/status.
func capabilities(status, name string) uint64 {
	_, after, _ := strings.Cut(status, name+":\t")
	digits, _, _ := strings.Cut(after, "\n")
	set, _ := strconv.ParseUint(digits, 16, 64)
	return set
}

// cgroups returns the mount point of a writable cgroup2 tree, or "".
func cgroups() string {
	mounts, _ := os.ReadFile("/proc/self/mounts")
	for line := range strings.Lines(string(mounts)) {
		f := strings.Fields(line)
		if len(f) > 3 && f[2] == "cgroup2" && slices.Contains(strings.Split(f[3], ","), "rw") {
			return f[1]
		}
	}
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// missing returns which program is missing and how to install it, or "".
func missing() string {
	for _, file := range []string{"/usr/lib/systemd/systemd", "/usr/bin/dbus-daemon"} {
		if !exists(filepath.Join(root(), file)) {
			return file + " is missing: apt-get install systemd dbus libpam-systemd"
		}
	}
	for _, name := range []string{"bash", "nsenter", "unshare", "setpriv", "pivot_root", "ip"} {
		if _, err := exec.LookPath(name); err != nil {
			return name + " is missing: apt-get install util-linux iproute2"
		}
	}
	return ""
}

// Need skips the test if the host lacks one of these programs, each of which the package of
// its name has; in continuous integration it fails the test.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	for _, name := range programs {
		if !exists("/usr/bin/"+name) && !exists("/usr/sbin/"+name) {
			without(t, name+" is missing: apt-get install "+name)
		}
	}
}
