//go:build linux

package machine

import (
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// require skips the test if no machine can be booted. In continuous integration (CI is
// set) a missing program fails the test instead.
func require(t testing.TB) {
	t.Helper()
	if why := unable(); why != "" {
		t.Skipf("no machine can be booted here: %s", why)
	}
	if why := missing(); why != "" {
		if os.Getenv("CI") != "" {
			t.Fatal(why)
		}
		t.Skip(why)
	}
}

// sysAdmin is the number of CAP_SYS_ADMIN.
const sysAdmin = 21

// unable returns why the host cannot boot a machine, or "".
func unable() string {
	filesystems, _ := os.ReadFile("/proc/filesystems")
	switch {
	case os.Geteuid() != 0:
		return "not running as root"
	case capabilities()>>sysAdmin&1 == 0:
		return "root has no CAP_SYS_ADMIN"
	case !slices.Contains(strings.Fields(string(filesystems)), "overlay"):
		return "the kernel has no overlayfs (modprobe overlay)"
	case cgroups() == "":
		return "no writable cgroup2 is mounted"
	}
	return ""
}

// capabilities returns the effective capabilities of this process.
func capabilities() uint64 {
	status, _ := os.ReadFile("/proc/self/status")
	_, after, _ := strings.Cut(string(status), "\nCapEff:\t")
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

// missing returns which program is missing and how to install it, or "".
func missing() string {
	for _, file := range []string{"/usr/lib/systemd/systemd", "/usr/bin/dbus-daemon"} {
		if _, err := os.Stat(file); err != nil {
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
