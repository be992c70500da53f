package spool

import (
	"fmt"
	"log/slog"
	"testing"
)

// BenchmarkAppend measures an Append on the disk of the folder for temporary files.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			s := benchmarked(b)
			for b.Loop() {
				var list []Record
				for i := range n {
					list = append(list, event(s.Next()+uint64(i)))
				}
				if err := s.Append(list...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkTryNext measures reading and acking a record.
func BenchmarkTryNext(b *testing.B) {
	s := benchmarked(b)
	s.sync = noSync
	fill := func() {
		for range 100 {
			var list []Record
			for i := range uint64(1000) {
				list = append(list, event(s.Next()+i))
			}
			if err := s.Append(list...); err != nil {
				b.Fatal(err)
			}
		}
	}
	r := s.Reader()
	for b.Loop() {
		got, ok, err := r.TryNext()
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			b.StopTimer()
			fill()
			b.StartTimer()
			continue
		}
		if err := s.Ack(got.Number); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen measures Open with 64 MiB of records.
func BenchmarkOpen(b *testing.B) {
	s := benchmarked(b)
	s.sync = noSync
	for s.Stats().Dropped == 0 {
		var list []Record
		for i := range uint64(1000) {
			list = append(list, event(s.Next()+i))
		}
		if err := s.Append(list...); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		s.Close()
		s = mustOpen(b, s.dir, Config{MachineID: "m1", Log: slog.New(slog.DiscardHandler)})
	}
	b.ReportMetric(float64(s.Stats().Waiting), "records")
}

func benchmarked(b *testing.B) *Spool {
	return mustOpen(b, b.TempDir(), Config{MachineID: "m1", Log: slog.New(slog.DiscardHandler)})
}

// event is a record of the size of a login.
func event(number uint64) Record {
	return Record{number, make([]byte, 160), make([]byte, 240)}
}
