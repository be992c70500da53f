//go:build failpoints

// Package failpoint, built with -tags failpoints, kills the process at a failpoint, or
// makes it slow there. FAULT_DIE_AT names the failpoint at which the process is killed;
// "snapshot-synced:2" kills it the second time. FAULT_SLOW_AT names one at which the
// process sleeps for a moment each time.
package failpoint

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

var (
	deadly, last = read(os.Getenv("FAULT_DIE_AT"))
	slow         = os.Getenv("FAULT_SLOW_AT")
	reached      atomic.Int64
)

func read(value string) (string, int64) {
	name, count, _ := strings.Cut(value, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	return name, n
}

// At marks a failpoint. It does not return if it kills the process.
func At(name string) {
	if name == slow {
		time.Sleep(300 * time.Millisecond)
	}
	if name != deadly || reached.Add(1) != last {
		return
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // nothing can be done about it
	select {}
}
