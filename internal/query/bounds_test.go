package query

import (
	"testing"

	"rollcall/internal/test/kit"
)

// TestGatherStops: one answer reads about as many machines as fit in it, however
// large the fleet.
func TestGatherStops(t *testing.T) {
	rows, more := collectRows(fleet(10_000, 1), &reportRequest{}, kit.At, 4<<10)
	if len(rows) > 100 || !more {
		t.Errorf("read %d machines for an answer of 4 KiB, more: %t", len(rows), more)
	}
}
