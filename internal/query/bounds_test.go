package query

import (
	"testing"

	"rollcall/internal/test/kit"
)

// TestGatherStops: one answer looks at about as many machines as fit into it,
// however large the fleet.
func TestGatherStops(t *testing.T) {
	rows, more := collectRows(fleet(10_000, 1), &reportRequest{}, kit.At, 4<<10)
	if len(rows) > 100 || !more {
		t.Errorf("looked at %d machines for an answer of 4 KiB, and says that there are more: %t", len(rows), more)
	}
}
