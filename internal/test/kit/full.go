package kit

import (
	"os"
	"testing"
)

// Full reports whether the tests run at full length: "make test-full" sets TEST_FULL.
// Without it "go test ./..." takes ten minutes.
func Full() bool { return os.Getenv("TEST_FULL") != "" }

// Length returns full if tests run at full length, else short.
func Length(short, full int) int {
	if Full() {
		return full
	}
	return short
}

// Long skips a test that runs at full length only.
func Long(t testing.TB) {
	t.Helper()
	if !Full() {
		t.Skip("takes long: make test-full runs it")
	}
}
