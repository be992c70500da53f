package snapshot

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"rollcall/internal/roster"
	"rollcall/internal/test/kit"
)

// The benchmarks use a million sessions on 100,000 machines.
func benchFleet() *kit.Fleet {
	return kit.NewFleet(1, kit.Mixed, kit.Scale(1_000_000))
}

func BenchmarkWrite(b *testing.B) {
	r := benchFleet().Roster()
	b.ReportAllocs()
	var info Info
	for b.Loop() {
		enc := r.Encode()
		var err error
		info, err = Write(io.Discard, enc, Header{Settings: r.Settings()})
		enc.Close()
		if err != nil {
			b.Fatal(err)
		}
	}
	reportBytes(b, r, info)
}

// BenchmarkEncode is Write without compression and checksums.
func BenchmarkEncode(b *testing.B) {
	r := benchFleet().Roster()
	b.ReportAllocs()
	for b.Loop() {
		enc := r.Encode()
		if _, err := enc.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
		enc.Close()
	}
}

// BenchmarkRead reads a file with and without restoring the roster; without, it only
// reads, decompresses and computes checksums.
func BenchmarkRead(b *testing.B) {
	r := benchFleet().Roster()
	path := filepath.Join(b.TempDir(), "snapshot")
	if err := os.WriteFile(path, file(b, r), 0o600); err != nil {
		b.Fatal(err)
	}
	settings := r.Settings()
	b.Run("restore", func(b *testing.B) {
		defer debug.SetGCPercent(debug.SetGCPercent(loadGCPercent)) // as in Load
		readFile(b, path, func(f io.Reader) error { _, _, err := Read(f, settings); return err })
	})
	b.Run("inspect", func(b *testing.B) {
		readFile(b, path, func(f io.Reader) error { _, err := Inspect(f); return err })
	})
}

func readFile(b *testing.B, path string, read func(io.Reader) error) {
	b.ReportAllocs()
	for b.Loop() {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		err = read(f)
		f.Close()
		if err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSave is a whole Save, on a real disk.
func BenchmarkSave(b *testing.B) {
	r := benchFleet().Roster()
	s, err := Open(b.TempDir(), "bench", quiet(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		s.last.Store(nil)
		if _, err := s.Save(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkFoldWhileSaving folds batches of 500 events into a roster, alone, and
// while a snapshot starts every 3 s, ten times as often as in the service. It
// reports the slowest batch of a thousand.
func BenchmarkFoldWhileSaving(b *testing.B) {
	b.Run("alone", func(b *testing.B) { besideAll(b, func(context.Context, *roster.Roster) {}) })
	b.Run("saving", func(b *testing.B) {
		s, err := Open(b.TempDir(), "bench", quiet(b), prometheus.NewRegistry())
		if err != nil {
			b.Fatal(err)
		}
		besideAll(b, func(ctx context.Context, r *roster.Roster) {
			if err := s.Run(ctx, r, time.Duration(kit.Scale(int(3*time.Second)))); err != nil {
				b.Error(err)
			}
		})
	})
}

func besideAll(b *testing.B, other func(context.Context, *roster.Roster)) {
	for b.Loop() {
		f := benchFleet()
		r := f.Roster()
		ctx, end := context.WithCancel(b.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); other(ctx, r) }()
		took := batches(f, r, kit.Scale(30_000))
		end()
		<-ended
		slices.Sort(took)
		b.ReportMetric(float64(took[len(took)/2].Microseconds()), "p50-µs/batch")
		b.ReportMetric(float64(took[len(took)-1-len(took)/1000].Microseconds()), "p99.9-µs/batch")
	}
}

// batches folds n batches and returns how long each took.
func batches(f *kit.Fleet, r *roster.Roster, n int) []time.Duration {
	took := make([]time.Duration, n)
	var batch roster.Batch
	for i := range took {
		f.Fill(&batch, 500)
		start := time.Now()
		r.Fold(&batch)
		took[i] = time.Since(start)
	}
	return took
}

func reportBytes(b *testing.B, r *roster.Roster, info Info) {
	sessions := float64(r.Status().Sessions)
	b.ReportMetric(float64(info.Size)/sessions, "B/session")
	b.ReportMetric(float64(info.Encoded)/sessions, "encoded-B/session")
}
