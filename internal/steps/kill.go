//go:build faultsteps

// Package steps, built with faultsteps, kills the process at a step, or makes
// it slow there. FAULT_DIE_AT says at which step and at which time
// ("snapshot-synced:2"), FAULT_SLOW_AT where it halts for a while each time.
package steps

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
	step, count, _ := strings.Cut(value, ":")
	n, err := strconv.ParseInt(count, 10, 64)
	if err != nil {
		n = 1
	}
	return step, n
}

// At marks a step. It doesn't return when the process is to die there.
func At(step string) {
	if step == slow {
		time.Sleep(300 * time.Millisecond)
	}
	if step != deadly || reached.Add(1) != last {
		return
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // there is nobody to tell
	select {}
}
