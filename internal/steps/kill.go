//go:build faultsteps

// Package steps, built with faultsteps, kills the process at a step. The
// variable FAULT_DIE_AT says at which and at which time: "snapshot-synced:2".
package steps

import (
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
)

var (
	deadly, left = read(os.Getenv("FAULT_DIE_AT"))
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

// At kills the process with SIGKILL when it is at the deadly step for the last
// time. It doesn't return then.
func At(step string) {
	if step != deadly || reached.Add(1) != left {
		return
	}
	syscall.Kill(os.Getpid(), syscall.SIGKILL) //nolint:errcheck // there is nobody to tell
	select {}
}
