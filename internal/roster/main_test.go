package roster_test

import (
	"flag"
	"os"
	"testing"

	"rollcall/internal/roster"
)

// TestMain lets the small rosters of these tests look ahead as large ones do;
// benchmarks measure the roster as it is.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		roster.Prefetch(true)
	}
	os.Exit(m.Run())
}
