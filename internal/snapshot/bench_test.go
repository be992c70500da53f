package snapshot

import (
	"bytes"
	"io"
	"testing"

	"rollcall/internal/roster"
)

// The fleet of the benchmarks: 100,000 machines, 50,000 users, a million
// logins.
const (
	benchMachines = 100_000
	benchLogins   = 1_000_000
)

func BenchmarkWrite(b *testing.B) {
	r := fleet(b, benchMachines, benchLogins)
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

// BenchmarkEncode is what Write does without compressing and checksums.
func BenchmarkEncode(b *testing.B) {
	r := fleet(b, benchMachines, benchLogins)
	b.ReportAllocs()
	for b.Loop() {
		enc := r.Encode()
		if _, err := enc.WriteTo(io.Discard); err != nil {
			b.Fatal(err)
		}
		enc.Close()
	}
}

func BenchmarkRead(b *testing.B) {
	r := fleet(b, benchMachines, benchLogins)
	data := file(b, r)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(bytes.NewReader(data), r.Settings()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkInspect is what Read does without restoring: reading, checksums and
// decompressing.
func BenchmarkInspect(b *testing.B) {
	r := fleet(b, benchMachines, benchLogins)
	data := file(b, r)
	b.ReportAllocs()
	var info Info
	for b.Loop() {
		var err error
		if info, err = Inspect(bytes.NewReader(data)); err != nil {
			b.Fatal(err)
		}
	}
	reportBytes(b, r, info)
}

// BenchmarkSave is all of it, on a real disk.
func BenchmarkSave(b *testing.B) {
	r := fleet(b, benchMachines, benchLogins)
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

func reportBytes(b *testing.B, r *roster.Roster, info Info) {
	sessions := float64(r.Status().Sessions)
	b.ReportMetric(float64(info.Size)/sessions, "B/session")
	b.ReportMetric(float64(info.Encoded)/sessions, "encoded-B/session")
}
