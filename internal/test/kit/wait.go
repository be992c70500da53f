package kit

import (
	"testing"
	"time"
)

// Eventually waits until the condition is true, and fails the test if it is not within
// a minute. what describes the condition: "the reader is caught up". The condition is
// checked at once and every few milliseconds.
func Eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	if !await(condition, deadline) {
		t.Fatalf("not true after %v: %s", deadline, what)
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
