package history

import (
	"flag"
	"os"
	"testing"
)

// The classes of the product.
var productShortest, productStep = shortest, step

// TestMain runs the tests, but not the benchmarks, without waiting for the disk: that what
// is committed survives a kill is a matter of internal/test/faults. The sessions of the
// tests last minutes and hours, so their classes are narrower: otherwise all would be of one.
func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() == "" {
		synchronous = "off"
		shortest, step = 36, 2
	}
	os.Exit(m.Run())
}
