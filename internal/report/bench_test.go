package report

import (
	"encoding/json"
	"testing"
	"time"

	"rollcall/internal/api"
	"rollcall/internal/test/kit"
)

// BenchmarkReport builds a report of 100,000 machines with 5 users each: from a
// roster (read under its locks, encoded in pages and hashed), from a struct, and
// from the same struct with encoding/json.
func BenchmarkReport(b *testing.B) {
	r := kit.NewFleet(1, kit.Five, kit.Scale(500_000)).Roster()
	p := &Publisher{PublisherConfig: PublisherConfig{Source: source(r)}, now: time.Now}
	ready := api.Report{ID: "id", When: kit.At, Stream: "ROLLCALL_EVENTS", Complete: true, Reasons: []string{}, Machines: machines(r)}
	b.Run("roster", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, pages, err := p.build(1 << 20)
			if err != nil {
				b.Fatal(err)
			}
			p.buffer = pages.body
			b.SetBytes(int64(len(pages.body)))
		}
	})
	b.Run("ready", func(b *testing.B) {
		b.ReportAllocs()
		var data []byte
		for b.Loop() {
			data = AppendJSON(data[:0], &ready)
		}
		b.SetBytes(int64(len(data)))
	})
	b.Run("ready-encoding-json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			data, err := json.Marshal(ready)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
		}
	})
}
