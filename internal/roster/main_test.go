package roster_test

import (
	"flag"
	"os"
	"testing"

	"rollcall/internal/roster"
)

// TestMain makes the small rosters of these tests prefetch as large ones do;
// benchmarks measure the real threshold.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		roster.Prefetch(true)
	}
	os.Exit(m.Run())
}
