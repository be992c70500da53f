package kit

import (
	"testing"
	"time"
)

// Eventually waits until the condition holds, and fails the test if it doesn't
// within a minute. what describes the condition: "the reader is caught up".
// The condition is checked at once and every few milliseconds.
func Eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	if !await(condition, deadline) {
		t.Fatalf("after %v it still isn't so that %s", deadline, what)
	}
}

func await(condition func() bool, within time.Duration) bool {
	timeout := time.NewTimer(within)
	defer timeout.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-timeout.C:
			return condition()
		case <-tick.C:
		}
	}
	return true
}
