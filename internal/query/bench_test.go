package query

import (
	"testing"

	"rollcall/internal/test/kit"
)

// BenchmarkAnswer builds one answer of 1 MiB from 100,000 machines with 5 users
// each.
func BenchmarkAnswer(b *testing.B) {
	r := kit.NewFleet(1, kit.Five, kit.Scale(500_000)).Roster()
	q := &reportRequest{after: cursor{first: "cache"}}
	b.ReportAllocs()
	for b.Loop() {
		rows, more := collectRows(r, q, kit.At, 1<<20)
		data, _ := appendRows(nil, rows, more, 1<<20)
		b.SetBytes(int64(len(data)))
	}
}
