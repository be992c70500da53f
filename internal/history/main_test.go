package history

import (
	"os"
	"testing"
)

// TestMain runs the tests without waiting for the disk: that what is committed survives
// a kill is a matter of internal/test/faults.
func TestMain(m *testing.M) {
	synchronous = "off"
	os.Exit(m.Run())
}
